"""Which of several networks to take: a pure function of their figures and of what is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Arithmetic = Literal["fp32", "INT8", "INT8 after QAT"]
"""What a network computes in. QAT: it learned with INT8's rounding before it was quantised."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Is a network that was made, and what it does and costs."""

    name: str
    """Of its run."""
    made: str
    """What the network is, in a few words."""
    arithmetic: Arithmetic
    top1: float
    """Share of the judging pictures, through the serving engine."""
    latency_ms: float
    """Of one picture on one thread of the serving engine: the median."""
    kilobytes: float
    """Of the ONNX file."""
    macs: int
    sha256: str
    """Of the ONNX file: another one under the same name is another candidate."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Says what the choice must hold; None holds nothing."""

    max_drop: float | None = None
    """Points of accuracy below the first candidate, which is the network that was given."""
    target_latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Is the network to take, None where no one holds what is wanted."""

    name: str | None
    why: str


def front(candidates: Sequence[Candidate], cost: str) -> list[Candidate]:
    """Returns the candidates that none beats: none is as right at less cost, or more right at the same, cheapest first.

    Args:
        candidates: at least one.
        cost: the field that counts as cost.
    """
    best, result = -1.0, []
    for each in sorted(candidates, key=lambda each: (getattr(each, cost), -each.top1)):
        if each.top1 > best:
            best = each.top1
            result.append(each)
    return result


def choose(candidates: Sequence[Candidate], wanted: Wanted) -> Choice:
    """Returns the fastest candidate within `max_drop`; without one, the most accurate within `target_latency_ms`.

    Args:
        candidates: the given network first.
        wanted: at least one of its bounds.
    """
    given = candidates[0]
    slow = [each for each in candidates if not _fast(each, wanted)]
    fit = [each for each in candidates if _fast(each, wanted) and _right(each, given, wanted)]
    if not fit:
        nearest = max(candidates, key=lambda each: (_fast(each, wanted), each.top1))
        return Choice(
            None,
            f"none of {len(candidates)} candidates fits; {len(slow)} are too slow; the nearest is {nearest.name} with "
            f"{_told(nearest, given)}",
        )
    if wanted.max_drop is None:
        taken = max(fit, key=lambda each: (each.top1, -each.latency_ms))
        why = f"the most accurate of the {len(fit)} that take at most {wanted.target_latency_ms:g} ms"
    else:
        taken = min(fit, key=lambda each: (each.latency_ms, -each.top1))
        why = f"the fastest of the {len(fit)} that lose at most {wanted.max_drop:g} points"
        if wanted.target_latency_ms is not None:
            why += f" and take at most {wanted.target_latency_ms:g} ms"
    return Choice(taken.name, f"{why}: {_told(taken, given)}")


def _fast(each: Candidate, wanted: Wanted) -> bool:
    return wanted.target_latency_ms is None or each.latency_ms <= wanted.target_latency_ms


def _right(each: Candidate, given: Candidate, wanted: Wanted) -> bool:
    return wanted.max_drop is None or 100 * (given.top1 - each.top1) <= wanted.max_drop + 1e-9


def _told(each: Candidate, given: Candidate) -> str:
    lost = 100 * (given.top1 - each.top1)
    return f"{each.latency_ms:.3f} ms of {given.latency_ms:.3f}, {each.top1:.2%}, {lost:+.2f} points lost"
