"""Decodes a dataset once, into arrays that training reads from disk as if they were in memory."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from servicekit.manifest import Recipe as Input
from services.preprocess.headers import Limits
from services.preprocess.transforms import image_to_array

PIXELS = "pixels.raw"


class Record(Protocol):
    """Is one encoded picture."""

    @property
    def image(self) -> bytes:
        """Encoded."""
        ...

    @property
    def label(self) -> int:
        """Returns the class; -1 for none."""
        ...


class Source(Protocol):
    """Is a dataset version."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names the classes."""
        ...

    def count(self, split: str) -> int:
        """Returns how many pictures a split has."""
        ...

    def records(self, split: str) -> Iterator[Record]:
        """Reads a split, in an order that never changes."""
        ...


@dataclass(frozen=True, slots=True)
class Split:
    """Is a split, decoded."""

    pixels: npt.NDArray[np.uint8]
    """`[n, height, width, 3]`, RGB."""
    labels: npt.NDArray[np.int64]
    """`[n]`."""

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, limit: int | None) -> "Split":
        """Returns the first pictures; all for None."""
        return Split(self.pixels[:limit], self.labels[:limit])


def load_split(source: Source, split: str, recipe: Input, cache: Path) -> Split:
    """Returns the labelled pictures of a split, decoded as serving would.

    Args:
        source: the dataset version.
        split: train, val or test.
        recipe: size, crop and interpolation.
        cache: folder of this dataset version; the first call fills it, later ones read it.
    """
    folder = cache / f"{split}-{recipe.width}x{recipe.height}-{recipe.crop:g}-{recipe.interpolation}"
    if not folder.exists():
        _decode(source, split, recipe, folder)
    labels = np.load(folder / "labels.npy")
    shape = (len(labels), recipe.height, recipe.width, 3)
    if not len(labels):
        return Split(np.empty(shape, np.uint8), labels)
    return Split(np.memmap(folder / PIXELS, np.uint8, mode="r", shape=shape), labels)


def _decode(source: Source, split: str, recipe: Input, folder: Path) -> None:
    """Writes beside the folder and renames: a decoding that is cut off, or a second one, harms nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".decode-", dir=folder.parent))
    try:
        labels = _decode_into(scratch, source, split, recipe)
        np.save(scratch / "labels.npy", np.asarray(labels, np.int64))
        scratch.rename(folder)
    except OSError:
        if not folder.exists():  # else another process was faster, and decoded the same
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _decode_into(scratch: Path, source: Source, split: str, recipe: Input) -> list[int]:
    labels: list[int] = []
    with (scratch / PIXELS).open("wb") as file:
        for record in source.records(split):
            if record.label >= 0:
                file.write(image_to_array(record.image, recipe, Limits()).pixels.tobytes())
                labels.append(record.label)
        file.flush()
        os.fsync(file.fileno())
    return labels
