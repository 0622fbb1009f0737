"""Finds pictures that are the same or nearly so.

Nearly: the pixels of two thumbnails, less their mean, correlate. Every picture is compared with every other one,
exactly, as products of matrices. On small pictures this tells apart what hashes of a few bits call the same.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

import numpy as np
import numpy.typing as npt

from modelkit.data.cache import NOTHING_KEPT, Arrays, Cache, address
from modelkit.data.records import DataError, Track, untracked

NEAR = 0.997
"""Correlation from which two pictures count as nearly the same; chosen by looking at pairs of Fashion-MNIST."""
MAX_COMPARED = 300_000
"""Images: the time grows with the square of their number."""
MAX_PAIRS = 2_000_000
_BLOCK = 2048
_FLAT = 1.0
"""Standard deviation, in steps of 255, below which a picture shows nothing that could be compared."""

Floats = npt.NDArray[np.float32]


def near_pairs(
    thumbnails: npt.NDArray[np.uint8], near: float = NEAR, track: Track = untracked, cache: Cache = NOTHING_KEPT
) -> list[tuple[int, int, float]]:
    """Finds all pairs of nearly equal pictures, the most alike first, each with its correlation.

    Args:
        thumbnails: `[n, side, side, 3]`; flat ones are in no pair.
        near: correlation from which a pair counts.
        track: shows how far it is.
        cache: keeps the pairs of each part of the pictures.

    Raises:
        DataError: there are too many pictures or pairs.
    """
    if len(thumbnails) > MAX_COMPARED:
        raise DataError(
            f"{len(thumbnails)} images are too many to compare with each other; the limit is {MAX_COMPARED}"
        )
    grey = _normalised(thumbnails.mean(axis=3))
    content = address("thumbnails", thumbnails)
    pairs: list[tuple[int, int, float]] = []
    starts = range(0, len(grey), _BLOCK)
    for start in track(starts, "compare", len(starts)):
        place = address("pairs", content, near, _BLOCK, start)
        found = cache.get(place, partial(_of_block, thumbnails, grey, start, near))
        pairs.extend(zip(found["first"].tolist(), found["second"].tolist(), found["alike"].tolist(), strict=True))
        if len(pairs) > MAX_PAIRS:
            raise DataError(f"over {MAX_PAIRS} pairs of images correlate by {near} or more; ask for a higher --near")
    return sorted(pairs, key=lambda pair: (-pair[2], pair[:2]))


def _of_block(thumbnails: npt.NDArray[np.uint8], grey: Floats, start: int, near: float) -> Arrays:
    """Compares the pictures of a block with each other and with all later ones."""
    alike = grey[start:] @ grey[start : start + _BLOCK].T
    later, earlier = np.nonzero(alike >= near)
    later, earlier = later[later > earlier] + start, earlier[later > earlier] + start
    correlations = _coloured(thumbnails, earlier, later)
    kept = correlations >= near
    return {"first": earlier[kept], "second": later[kept], "alike": np.minimum(correlations[kept], 1)}


def _coloured(thumbnails: npt.NDArray[np.uint8], first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]) -> Floats:
    """Correlates the colours of pairs, in parts that fit into memory."""
    correlations = np.empty(len(first), np.float32)
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        a, b = _normalised(thumbnails[first[part]]), _normalised(thumbnails[second[part]])
        correlations[part] = np.einsum("ij,ij->i", a, b)
    return correlations


def _normalised(pictures: npt.NDArray[np.uint8] | npt.NDArray[np.float64]) -> Floats:
    """Returns each picture as a row of length 1 with mean 0, or of zeros if it is flat."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.maximum(length, 1e-9)
    rows[length[:, 0] < _FLAT * np.sqrt(rows.shape[1])] = 0
    return rows


def groups(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Joins pairs that share a member into groups, each sorted; the groups are sorted, too."""
    parents: dict[int, int] = {}

    def root(member: int) -> int:
        while parents.setdefault(member, member) != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        parents[high] = low
    members: dict[int, list[int]] = defaultdict(list)
    for member in sorted(parents):
        members[root(member)].append(member)
    return sorted(members.values())


def equal_groups(ids: Iterable[str]) -> list[list[int]]:
    """Groups the positions of equal ids; an id that stands alone is in no group."""
    positions: dict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(ids):
        positions[each].append(index)
    return [group for group in positions.values() if len(group) > 1]
