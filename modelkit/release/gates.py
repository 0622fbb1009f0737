"""The gates of a trained model: each is a number, its limit, and a sentence where it is out of bounds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from modelkit.gate import GateError

CANDIDATE, LIVE, PARENT = "candidate", "live", "parent"
SAME_TOP1 = "parent_same_top1"
MEAN_TOP1, PROTOCOL = "robustness_mean_top1", "robustness_protocol"
"""Names of the figures in a manifest."""
COMPARED = "robustness_compared_with"
NOT_COMPARED = "nothing: no live version and no parent was evaluated on corrupted pictures"


@dataclass(frozen=True, slots=True)
class Limits:
    """Says what is good enough; shares and drops are between 0 and 1."""

    min_top1: float = 0.5
    """On the test split, whatever else is served."""
    max_drop: float = 0.005
    """Of top-1, below the version that is live."""
    max_parent_drop: float = 0.01
    """Of top-1, below the parent, which may well be a larger network."""
    max_parity_gap: float = 0.005
    """Of top-1, between training's own figure and serving's, either way."""
    min_agreement: float = 0.8
    """Share of the test split with the parent's first class."""
    max_robustness_drop: float = 0.05
    """Of the mean top-1 on corrupted pictures, below the live version, or the parent where that has no such figure."""
    max_slowdown: float = 1.5
    """Times the live version's time for a picture, or the parent's where nothing is live."""
    max_latency_ms: float | None = None
    """Of a picture: the median of processor time, alone on one thread."""

    def moved(self) -> dict[str, float | int | str]:
        """Returns the limits that are not the usual ones, as a manifest says them."""
        pairs = (
            (each.name, getattr(self, each.name)) for each in fields(self) if getattr(self, each.name) != each.default
        )
        return {f"limit_{name}": value for name, value in pairs}


@dataclass(frozen=True, slots=True)
class Check:
    """Is a number that was held against a limit."""

    gate: str
    what: str
    value: float
    limit: float
    at_most: bool = False
    unit: str = ""
    missing: str = ""
    """Says why there is no number where there must be one."""

    @property
    def passed(self) -> bool:
        """Says whether the number is within its limit; what is no number is not."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def sentence(self) -> str:
        """Says which number, the limit, and by how much, or why there is no number."""
        if self.missing:
            return f"the {self.gate} gate: {self.missing}"
        bound, side = ("at most", "above") if self.at_most else ("at least", "below")
        value, limit, apart = (f"{each:.4f}{self.unit}" for each in (self.value, self.limit, self._apart()))
        told = f"the {self.gate} gate: {self.what} is {value}, {bound} {limit} is allowed"
        return told if self.passed else f"{told}: {apart} {side}"

    def _apart(self) -> float:
        return abs(self.value - self.limit)


@dataclass(frozen=True, slots=True)
class Robust:
    """Is how a model does on corrupted pictures."""

    mean_top1: float
    protocol: str
    """Which corruptions, pictures and seed: only what was measured alike compares. Empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Is what a candidate's robustness is held against."""

    whose: str
    robust: Robust
    same_file: bool = False
    """Whether it is the candidate itself: that may be evaluated anew, in another way."""
    command: str = ""
    """Evaluates the candidate in the same way."""

    @property
    def told(self) -> str:
        """Says what was compared with."""
        return f"nothing: it is the {self.whose}'s own file" if self.same_file else self.whose


@dataclass(frozen=True, slots=True)
class Measured:
    """Is what a trial found."""

    top1: Mapping[str, float]
    """By model: candidate, and live and parent where there are such."""
    agreement: float | None
    """Share of pictures to which candidate and parent answer alike; None without a parent of another file."""
    offline_top1: float
    latency_ms: Mapping[str, float]
    """By model: of a picture, the median of processor time, alone on one thread; measured in turns."""
    robustness: Robust | None = None
    """None where the run was not evaluated."""
    baseline: Baseline | None = None
    """None where neither the live version nor the parent was evaluated."""
    steadiness: float = 1.0
    """Share of pictures to which the candidate's file, asked twice, gave the same logits, to the last bit."""
    said: Mapping[str, float | int | str] = field(default_factory=dict)
    """What the manifest says of the candidate's file, where that is live already and so has nothing to compare with."""


def compared(measured: Measured) -> dict[str, float | int | str]:
    """Returns what a manifest says of agreement and robustness, and of what they were held against.

    A file is not compared with itself: of one that is live, what was said when it came stays, while it is true.
    """
    figures: dict[str, float | int | str] = {}
    agreement = measured.said.get(SAME_TOP1) if measured.agreement is None else round(measured.agreement, 5)
    if agreement is not None:
        figures[SAME_TOP1] = agreement
    if measured.robustness is not None:
        figures[MEAN_TOP1] = round(measured.robustness.mean_top1, 5)
        figures[PROTOCOL] = measured.robustness.protocol
    baseline = measured.baseline
    told = baseline.told if baseline else NOT_COMPARED
    as_before = all(measured.said.get(name) == figures.get(name) for name in (MEAN_TOP1, PROTOCOL))
    figures[COMPARED] = measured.said.get(COMPARED, told) if baseline and baseline.same_file and as_before else told
    return figures


def checks(measured: Measured, limits: Limits) -> list[Check]:
    """Holds what was measured against the limits."""
    top1 = measured.top1[CANDIDATE]
    found = [*_accuracy(measured.top1, limits)]
    gap = abs(measured.offline_top1 - top1)
    what = f"the gap between top-1 in training ({measured.offline_top1:.4f}) and through serving ({top1:.4f})"
    found.append(Check("parity", what, gap, limits.max_parity_gap, at_most=True))
    found.append(steady(measured.steadiness))
    if measured.agreement is not None:
        what = "the share of pictures with the parent's first class"
        found.append(Check("agreement", what, measured.agreement, limits.min_agreement))
    return [*found, *_robustness(measured, limits), *_latency(measured, limits)]


def steady(share: float) -> Check:
    """Returns the check of the share of pictures with the same logits, to the last bit, when asked twice."""
    return Check("steadiness", "the share of pictures answered alike when asked twice", share, 1.0)


def as_robust(drop: float, whose: str, limit: float) -> Check:
    """Returns the check of a drop of the mean top-1 on corrupted pictures."""
    what = f"the drop of the mean top-1 on corrupted pictures below {whose}"
    return Check("robustness", what, drop, limit, at_most=True)


def as_fast(mine_ms: float, other_ms: float, whose: str, limit: float) -> Check:
    """Returns the check of the time of a picture as a multiple of another model's."""
    what = f"the time of a picture on one thread, {mine_ms:.3f} ms, as a multiple of {whose}'s {other_ms:.3f} ms"
    return Check("latency", what, mine_ms / other_ms, limit, at_most=True)


def _accuracy(top1: Mapping[str, float], limits: Limits) -> Iterator[Check]:
    mine = top1[CANDIDATE]
    yield Check("accuracy", "top-1 on the test split", mine, limits.min_top1)
    for model, whose, limit in ((LIVE, "live version", limits.max_drop), (PARENT, "parent", limits.max_parent_drop)):
        if model in top1:
            yield Check("accuracy", f"the drop of top-1 below the {whose}", top1[model] - mine, limit, at_most=True)


def _robustness(measured: Measured, limits: Limits) -> list[Check]:
    mine, baseline = measured.robustness, measured.baseline
    if baseline is None:
        return []
    check = as_robust(math.nan, f"the {baseline.whose}", limits.max_robustness_drop)
    if mine is None or (mine.protocol != baseline.robust.protocol and not baseline.same_file):
        return [replace(check, missing=_not_alike(mine, baseline))]
    return [] if baseline.same_file else [replace(check, value=baseline.robust.mean_top1 - mine.mean_top1)]


def _not_alike(mine: Robust | None, baseline: Baseline) -> str:
    found = "was not evaluated" if mine is None else f"was evaluated otherwise ({mine.protocol or 'no protocol'})"
    how = f" ({baseline.robust.protocol})" if baseline.robust.protocol else ""
    return f"the {baseline.whose} was evaluated on corrupted pictures{how}, the candidate {found}: `{baseline.command}`"


def _latency(measured: Measured, limits: Limits) -> Iterator[Check]:
    mine = measured.latency_ms[CANDIDATE]
    rivals = ((LIVE, "the live version"), (PARENT, "the parent"))
    rival = next(((model, whose) for model, whose in rivals if model in measured.latency_ms), None)
    if rival is not None:
        yield as_fast(mine, measured.latency_ms[rival[0]], rival[1], limits.max_slowdown)
    if limits.max_latency_ms is not None:
        what = "the time of a picture on one thread"
        yield Check("latency", what, mine, limits.max_latency_ms, at_most=True, unit=" ms")


def check_labels(labels: Sequence[str], known: Sequence[str]) -> None:
    """Lets a model pass whose classes have the names, and the order, of the data set that judges it.

    Raises:
        GateError: with the first class that differs.
    """
    if len(labels) != len(known):
        raise GateError(f"the labels gate: the model has {len(labels)} classes, the data set {len(known)}")
    for index, (mine, theirs) in enumerate(zip(labels, known, strict=True)):
        if mine != theirs:
            wrong = sum(a != b for a, b in zip(labels, known, strict=True))
            raise GateError(
                f"the labels gate: class {index} is {mine!r} in the model and {theirs!r} in the data set; "
                f"{wrong} of {len(known)} names differ, none may"
            )


def judge(found: Sequence[Check]) -> None:
    """Lets pass what is within every limit.

    Raises:
        GateError: with a sentence for every number that is out of bounds.
    """
    failed = [check.sentence() for check in found if not check.passed]
    if failed:
        raise GateError("; ".join(failed))


def evaluated_robustness(evaluation: Mapping[str, Any]) -> Robust | None:
    """Returns what a run's evaluation found; None where it has no such figure."""
    return _robust(evaluation.get("robustness", {}), "mean_top1", "protocol")


def published_robustness(accuracy: Mapping[str, Any]) -> Robust | None:
    """Returns what a manifest says of a version; None where it has no such figure."""
    return _robust(accuracy, MEAN_TOP1, PROTOCOL)


def _robust(figures: Mapping[str, Any], mean_top1: str, protocol: str) -> Robust | None:
    value = figures.get(mean_top1)
    return None if value is None else Robust(float(value), str(figures.get(protocol, "")))
