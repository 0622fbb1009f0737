"""Decoding a data set once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from modelkit.train.pixels import load_split
from servicekit.manifest import Recipe as Input


@dataclass(frozen=True)
class Picture:
    """Is one encoded picture."""

    image: bytes
    label: int


def _png(grey: int) -> bytes:
    buffer = BytesIO()
    Image.new("L", (6, 4), grey).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Greys:
    """Is a tiny data set that counts how often it is read."""

    labels: tuple[str, ...] = ("dark", "light")
    reads: list[str] = field(default_factory=list)

    def count(self, split: str) -> int:
        """Returns 3: all are in every split."""
        return 3

    def records(self, split: str) -> Iterator[Picture]:
        """Yields dark, one without a label, light."""
        self.reads.append(split)
        yield from (Picture(_png(grey), label) for grey, label in ((10, 0), (90, -1), (200, 1)))


def test_a_split_is_decoded_once_and_without_what_has_no_label(tmp_path: Path) -> None:
    """The second call reads the cache; another size is decoded anew; pixels are those that serving makes."""
    source, small = Greys(), Input(width=4, height=4, crop=1.0)
    load_split(source, "train", small, tmp_path)
    split = load_split(source, "train", small, tmp_path)
    load_split(source, "train", small.model_copy(update={"width": 2}), tmp_path)
    assert ["train", "train"] == source.reads
    assert [0, 1] == split.labels.tolist()
    assert (2, 4, 4, 3) == split.pixels.shape
    assert [10, 200] == [int(np.unique(each).item()) for each in split.pixels]


def test_a_decoding_that_was_cut_off_leaves_nothing_that_counts(tmp_path: Path) -> None:
    """Only the rename makes a cache."""
    (tmp_path / ".decode-dead").mkdir()
    assert 1 == len(load_split(Greys(), "val", Input(width=4, height=4, crop=1.0), tmp_path).first(1))
