"""Reads the labelled pictures of a split: all of them in chunks, or a few that are spread over it."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from modelkit.data.records import Record
from modelkit.data.store import Dataset

CHUNK = 256
"""Pictures that are decoded at a time."""


def labelled(dataset: Dataset, split: str) -> Iterator[Record]:
    """Yields the pictures of a split that have a label, in the data set's order."""
    return (record for record in dataset.records(split) if record.label >= 0)


def count_labelled(dataset: Dataset, split: str) -> int:
    """Counts what `labelled` yields."""
    return sum(count for name, count in dataset.manifest.counts.get(split, {}).items() if name)


def spread(dataset: Dataset, split: str, most: int | None) -> list[Record]:
    """Returns at most so many pictures, evenly over the split; all for None."""
    total = count_labelled(dataset, split)
    if most is None or most >= total:
        return list(labelled(dataset, split))
    wanted = set(np.linspace(0, total - 1, most).round().astype(int).tolist())
    return [record for place, record in enumerate(labelled(dataset, split)) if place in wanted]


def chunks(records: Iterable[Record], size: int = CHUNK) -> Iterator[list[Record]]:
    """Yields lists of so many pictures; the last one has the rest."""
    left = iter(records)
    while chunk := list(islice(left, size)):
        yield chunk
