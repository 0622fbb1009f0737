"""Puts images into splits: by a hash, so that an image stays where it is when others are added."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from modelkit.data.cache import NOTHING_KEPT, Cache
from modelkit.data.deriving import derive
from modelkit.data.duplicates import NEAR, groups, near_pairs
from modelkit.data.features import Features, extract
from modelkit.data.records import DataError, Record, Split, Track, untracked
from modelkit.data.store import Dataset


@dataclass(frozen=True, slots=True)
class Shares:
    """Says how much goes where; what is left is for training.

    Below 1 a share is a fraction: an image's own hash decides, so it never moves, and sizes are met about, in each
    label about alike. From 1 on it is a count: met exactly but for groups, each label has its part; an added image
    may move one at the edge.
    """

    val: float
    test: float = 0
    """0 keeps the images of test where they are."""
    seed: int = 0
    near: float | None = NEAR
    """Correlation from which pictures stay together; None keeps only equal bytes together."""


def split(dataset: Dataset, shares: Shares, track: Track = untracked, cache: Cache = NOTHING_KEPT) -> Dataset:
    """Makes a version with other splits; what it finds out about the images goes into the cache.

    Raises:
        DataError: the shares are more than there is, or would change an existing test split.
    """
    _check(dataset, shares)
    features = extract(dataset, track, cache)
    places = assign(features, shares, track, cache)

    def change(_: int, record: Record, place: Split) -> tuple[Record, Split]:
        return record, place if place is Split.TEST and not shares.test else places[record.id]

    parameters = {"val": shares.val, "test": shares.test, "seed": shares.seed, "near": shares.near}
    return derive(dataset, "split", {**parameters}, change, track)


def assign(
    features: Features, shares: Shares, track: Track = untracked, cache: Cache = NOTHING_KEPT
) -> dict[str, Split]:
    """Returns the split of every id that is not kept in test; nearly equal pictures share one."""
    rows = features.rows
    movable = [at for at, row in enumerate(rows) if shares.test or row.split is not Split.TEST]
    first = {rows[at].id: at for at in reversed(movable)}
    pairs = [(first[rows[at].id], at) for at in movable]
    if shares.near is not None:
        free = set(movable)
        found = near_pairs(features.thumbnails, shares.near, track, cache)
        pairs += [(a, b) for a, b, _ in found if a in free and b in free]
    bundles = groups(pairs)
    placed = _by_hash(features, bundles, shares)
    return {rows[at].id: place for bundle, place in zip(bundles, placed, strict=True) for at in bundle}


def _by_hash(features: Features, bundles: list[list[int]], shares: Shares) -> list[Split]:
    values = [_value(shares.seed, min(features.rows[at].id for at in bundle)) for bundle in bundles]
    total = sum(map(len, bundles))
    by_label: dict[int, list[int]] = defaultdict(list)
    for index in sorted(range(len(bundles)), key=lambda index: values[index]):
        by_label[features.rows[bundles[index][0]].label].append(index)
    places = [Split.TRAIN] * len(bundles)
    for members in by_label.values():
        size = sum(len(bundles[index]) for index in members)
        test, val = (_target(share, size, total) for share in (shares.test, shares.val))
        taken = 0
        for index in members:
            low = taken if max(shares.test, shares.val) >= 1 else values[index] * size
            places[index] = Split.TEST if low < test else Split.VAL if low < test + val else Split.TRAIN
            taken += len(bundles[index])
    return places


def _target(share: float, size: int, total: int) -> float:
    """Returns how many images of a label of `size` go into a split."""
    return share * size if share < 1 else round(share * size / total)


def _value(seed: int, key: str) -> float:
    """Returns a number in [0, 1) that only the seed and the key decide."""
    digest = hashlib.sha256(f"{seed} {key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _check(dataset: Dataset, shares: Shares) -> None:
    for option, share in (("--val", shares.val), ("--test", shares.test)):
        if share > 1 and share % 1:
            raise DataError(f"{option} {share:g}: a fraction below 1, or a whole number of images")
    if shares.test and dataset.count(Split.TEST):
        raise DataError(
            f"{dataset.manifest.name} has {dataset.count(Split.TEST)} test images already: leave out --test"
        )
    movable = dataset.count() - dataset.count(Split.TEST)
    wanted = sum(share if share >= 1 else share * movable for share in (shares.val, shares.test))
    if min(shares.val, shares.test) < 0 or not 0 < wanted < movable:
        raise DataError(f"--val {shares.val:.15g} and --test {shares.test:.15g} take {wanted:.0f} of {movable} images")
