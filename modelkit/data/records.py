"""What data sets are made of: records, splits, limits, errors."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

T = TypeVar("T")

NO_LABEL = -1
"""Label of an image that has none."""
MAX_IMAGES = 5_000_000
MAX_LABELS = 65_536
MAX_NAME_CHARACTERS = 200
"""Of one label's name."""


class DataError(ValueError):
    """Says what is wrong with a data set, a source or a choice, and names the file, field and limit."""


class Split(StrEnum):
    """Names what an image is for: to fit the weights, to choose between models, or to judge the chosen one."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


_ALIASES = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test", "t10k": "test"}


def split_named(name: str) -> Split | None:
    """Returns the split that a folder or column names, None for any other word."""
    word = name.strip().lower()
    word = _ALIASES.get(word, word)
    return Split(word) if word in set(Split) else None


@dataclass(frozen=True, slots=True)
class Record:
    """Is one image of a data set."""

    id: str
    """sha256 of the encoded bytes, hexadecimal."""
    image: bytes
    """Encoded."""
    label: int
    """Index into the data set's labels, or -1."""
    source: str
    """Where the image came from."""


@dataclass(frozen=True, slots=True)
class Row:
    """Is what a data set holds of an image beside the picture itself."""

    id: str
    label: int
    split: Split
    source: str


@dataclass(frozen=True, slots=True)
class Item:
    """Is one image as a source yields it."""

    image: bytes
    label: str | None
    """The label's name; None where the source has none."""
    split: Split | None
    source: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Is something in a source that is no usable image."""

    source: str
    reason: str


class Track(Protocol):
    """Passes items through and shows how far a step is."""

    def __call__(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Yields the same items.

        Args:
            items: what is worked on.
            what: the step, in a word or two.
            total: how many items there are, if it is known.
        """
        ...


def untracked(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:  # noqa: ARG001 -- a Track
    """Passes items through and shows nothing."""
    return iter(items)


def image_id(image: bytes) -> str:
    """Returns the id of encoded bytes: their sha256, hexadecimal."""
    return hashlib.sha256(image).hexdigest()


def label_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sorts names of labels: numbers by value, before words by alphabet."""
    return tuple(
        sorted(set(names), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    )
