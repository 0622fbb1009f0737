"""What is wrong with a data set's images, and which of them each finding would drop."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from modelkit.data.duplicates import equal_groups, groups
from modelkit.data.features import Features
from modelkit.data.label_errors import Suspect
from modelkit.data.records import Split

_RANK = {Split.TEST: 0, Split.VAL: 1, Split.TRAIN: 2}
"""What a leak leaves alone comes first: what judges must not change."""
_COMMON_MODE = 0.95
"""Share of images from which on one mode is the usual one."""
_ODD_AREA = 16
"""Times larger or smaller than the median."""
_ODD_SIDES = 3
"""Times longer than wide, or wider than long."""


class Kind(StrEnum):
    """Names the kinds of findings."""

    UNREADABLE = "unreadable"
    DUPLICATES = "duplicates"
    LEAKS = "leaks"
    CONFLICTS = "conflicts"
    NEAR_DUPLICATES = "near-duplicates"
    NEAR_LEAKS = "near-leaks"
    ODD = "odd"
    LABEL_ERRORS = "label-errors"


MEANINGS = {
    Kind.UNREADABLE: "The image cannot be decoded. Dropping drops it.",
    Kind.DUPLICATES: "The same bytes in one split, with one label. Dropping keeps the first.",
    Kind.LEAKS: "The same bytes in several splits. Dropping keeps those of test, else of val.",
    Kind.CONFLICTS: "The same bytes with different labels. Dropping drops all of them.",
    Kind.NEAR_DUPLICATES: "Nearly the same picture in one split. Dropping keeps the first.",
    Kind.NEAR_LEAKS: "Nearly the same picture in several splits. Dropping keeps those of test, else of val.",
    Kind.ODD: "Another mode than nearly all, or a far larger, smaller, longer or wider picture. Dropping drops it.",
    Kind.LABEL_ERRORS: "A model trained on the other images believes in another label. Dropping drops the image.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Is one thing that is wrong."""

    kind: Kind
    images: tuple[int, ...]
    """Positions of the images concerned."""
    drops: tuple[int, ...]
    """Those of them that go if the user drops this kind."""
    note: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """Is what was found."""

    features: Features
    findings: list[Finding]
    agreement: float | None = None
    """Share of the labels that the model which judged them believes in; None where none did."""

    def doubt(self) -> str:
        """Says what the beliefs about labels are worth; empty where nothing is suspected."""
        suspected = any(each.kind is Kind.LABEL_ERRORS for each in self.findings)
        if not suspected or self.agreement is None:
            return ""
        return f"label errors are what a model believes that agrees with {self.agreement:.0%} of the labels"


def of_features(features: Features) -> list[Finding]:
    """Finds what bytes, sizes and modes tell."""
    unreadable = [Finding(Kind.UNREADABLE, (at,), (at,), why) for at, why in sorted(features.problems.items())]
    return [*unreadable, *_equal(features), *_odd(features)]


def of_pairs(features: Features, pairs: Iterable[tuple[int, int, float]]) -> list[Finding]:
    """Finds what nearly equal pictures tell; pairs of equal bytes are told elsewhere."""
    rows = features.rows
    unequal = [(a, b) for a, b, _ in pairs if rows[a].id != rows[b].id]
    return [_shared(features, group, Kind.NEAR_LEAKS, Kind.NEAR_DUPLICATES) for group in groups(unequal)]


def of_suspects(found: Iterable[Suspect], labels: tuple[str, ...]) -> list[Finding]:
    """Turns doubtful labels into findings."""
    return [
        Finding(
            Kind.LABEL_ERRORS,
            (each.position,),
            (each.position,),
            f"believed to be {labels[each.believed]} ({each.believed_probability:.0%})",
        )
        for each in found
    ]


def _equal(features: Features) -> Iterable[Finding]:
    for group in equal_groups(row.id for row in features.rows):
        if len({features.rows[at].label for at in group}) > 1:
            yield Finding(Kind.CONFLICTS, tuple(group), tuple(group), "equal images, different labels")
        else:
            yield _shared(features, group, Kind.LEAKS, Kind.DUPLICATES)


def _shared(features: Features, group: list[int], across: Kind, within: Kind) -> Finding:
    splits = {features.rows[at].split for at in group}
    kept = min(splits, key=_RANK.__getitem__)
    if len(splits) == 1:
        return Finding(within, tuple(group), tuple(group[1:]), f"{len(group)} images in {kept}")
    ordered = sorted(group, key=lambda at: (_RANK[features.rows[at].split], at))
    drops = tuple(at for at in ordered if features.rows[at].split != kept)
    return Finding(across, tuple(ordered), drops, f"in {' and '.join(split for split in _RANK if split in splits)}")


def _odd(features: Features) -> Iterable[Finding]:
    readable = [at for at in range(len(features.rows)) if at not in features.problems]
    if not readable:
        return
    sizes = features.sizes_px[readable].astype(np.int64)
    median = float(np.median(sizes.prod(axis=1)))
    mode, count = Counter(features.modes[at] for at in readable).most_common(1)[0]
    for at, (width, height) in zip(readable, sizes.tolist(), strict=True):
        reasons = []
        if not median / _ODD_AREA <= width * height <= median * _ODD_AREA:
            reasons.append(f"{width} x {height} pixels, the median is {median:.0f} in all")
        if max(width, height) > _ODD_SIDES * min(width, height):
            reasons.append(f"{width} x {height} pixels")
        if count >= _COMMON_MODE * len(readable) and features.modes[at] != mode:
            reasons.append(f"mode {features.modes[at]}, nearly all others have {mode}")
        if reasons:
            yield Finding(Kind.ODD, (at,), (at,), "; ".join(reasons))
