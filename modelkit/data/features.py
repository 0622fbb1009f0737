"""What `data clean` and `data split` know of each picture: whether it decodes, its size and mode, a small thumbnail."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from modelkit.data.pictures import square
from modelkit.data.records import Record, Row, Split, Track, untracked
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


def extract(dataset: Dataset, track: Track = untracked) -> Features:
    """Decodes every image once."""
    return describe(track(dataset.placed(), "decode", dataset.count()), dataset.count())


def describe(images: Iterable[tuple[Record, Split]], count: int) -> Features:
    """Decodes images; `count` says how many there are."""
    thumbnails = np.zeros((count, SIDE_PX, SIDE_PX, 3), np.uint8)
    sizes = np.zeros((count, 2), np.int32)
    rows, modes, problems = [], [], {}
    for index, (record, split) in enumerate(images):
        rows.append(Row(record.id, record.label, split, record.source))
        try:
            decoded = square(record.image, SIDE_PX)
            thumbnails[index], sizes[index] = decoded.pixels, (decoded.width_px, decoded.height_px)
            modes.append(_mode(record.image))
        except InvalidArgument as error:
            problems[index] = str(error)
            modes.append("")
    return Features(tuple(rows), thumbnails, sizes, tuple(modes), problems)


def _mode(image: bytes) -> str:
    with Image.open(BytesIO(image), formats=_FORMATS) as opened:
        return opened.mode
