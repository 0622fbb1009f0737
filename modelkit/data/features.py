"""What `data clean` and `data split` know of each picture: whether it decodes, its size and mode, a small thumbnail."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from modelkit.data.cache import NOTHING_KEPT, Arrays, Cache, address
from modelkit.data.pictures import square
from modelkit.data.records import Row, Track, untracked
from modelkit.data.shards import read_records, read_rows
from modelkit.data.store import Dataset
from servicekit.errors import InvalidArgument

SIDE_PX = 16
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


@dataclass(frozen=True, slots=True)
class Features:
    """Describes all images of a data set; position i of each part is image i."""

    rows: tuple[Row, ...]
    thumbnails: npt.NDArray[np.uint8]
    """`[n, 16, 16, 3]`; zeros where the image cannot be decoded."""
    sizes_px: npt.NDArray[np.int32]
    """`[n, 2]`, width and height."""
    modes: tuple[str, ...]
    """Pillow's: `L` is grey, `RGB` colour, `RGBA` has transparency."""
    problems: dict[int, str]
    """Why an image cannot be decoded, by its position."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Returns the label of each image, `[n]`."""
        return np.array([row.label for row in self.rows], np.int64)


def extract(dataset: Dataset, track: Track = untracked, cache: Cache = NOTHING_KEPT) -> Features:
    """Decodes every image once; of a shard in the cache, none."""
    shards = [dataset.folder / name for name in dataset.manifest.shards]
    rows = [tuple(read_rows(shard)) for shard in shards]
    places = [address("features", SIDE_PX, np.array([row.id for row in each])) for each in rows]
    found = [cache.find(place) for place in places]
    left = [at for at, arrays in enumerate(found) if arrays is None]
    images = track(_images(shards[at] for at in left), "decode", sum(len(rows[at]) for at in left))
    parts = [
        arrays or cache.keep(place, _describe(islice(images, len(each)), len(each)))
        for arrays, place, each in zip(found, places, rows, strict=True)
    ]
    return _joined(tuple(chain.from_iterable(rows)), parts)


def _images(shards: Iterable[Path]) -> Iterator[bytes]:
    return (record.image for shard in shards for record, _ in read_records(shard))


def _describe(images: Iterable[bytes], count: int) -> Arrays:
    """Decodes so many images; their problems are texts, empty for most."""
    thumbnails = np.zeros((count, SIDE_PX, SIDE_PX, 3), np.uint8)
    sizes = np.zeros((count, 2), np.int32)
    modes, problems = [""] * count, [""] * count
    for index, image in enumerate(images):
        try:
            decoded = square(image, SIDE_PX)
            thumbnails[index], sizes[index] = decoded.pixels, (decoded.width_px, decoded.height_px)
            modes[index] = _mode(image)
        except InvalidArgument as error:
            problems[index] = str(error)
    return {"thumbnails": thumbnails, "sizes": sizes, "modes": np.array(modes), "problems": np.array(problems)}


def _joined(rows: tuple[Row, ...], parts: Sequence[Arrays]) -> Features:
    thumbnails, sizes = (np.concatenate([part[name] for part in parts]) for name in ("thumbnails", "sizes"))
    modes, problems = ([text for part in parts for text in part[name].tolist()] for name in ("modes", "problems"))
    return Features(rows, thumbnails, sizes, tuple(modes), {at: text for at, text in enumerate(problems) if text})


def _mode(image: bytes) -> str:
    with Image.open(BytesIO(image), formats=_FORMATS) as opened:
        return opened.mode
