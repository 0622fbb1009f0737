"""What one metric says of a candidate, in numbers and in words. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.experiments.evalues import Interval

IN_AN_HOUR = " in the last hour"
"""Ends the name of a metric that is about one hour only."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Is what one metric says: the candidate's share less the control's."""

    metric: str
    estimate: float
    interval: Interval
    events: int
    word: str
    """`better`, `worse`, `no worse`, `too bad`, `within bounds`, or `open`."""
    doubt: str = ""
    """Why it is `open` although the interval says more."""

    def sentence(self) -> str:
        """Says what the candidate is, or does: `is better by 1.2 to 2.9 points of accuracy (40,000 keys)`."""
        return f"{_SAID[self.word](self)} ({self._counted})"

    def range(self) -> str:
        """Says what may be: `accuracy +1.2 to +2.9 points (40,000 keys)`."""
        return f"{self.metric} {_points(*self.interval, '+')} ({self._counted})"

    @property
    def _counted(self) -> str:
        return f"{self.events:,} {_COUNTED.get(self.metric, 'keys')}{self.doubt}"


def joined(found: Iterable[Finding]) -> str:
    """Says several in one sentence."""
    return ", and ".join(each.sentence() for each in found)


def _points(low: float, high: float, sign: str = "") -> str:
    """Writes a range in points, with as many digits as say something: `1.2 to 2.9 points`."""
    return " to ".join(f"{round(100 * bound, 2) + 0.0:{sign}g}" for bound in (low, high)) + " points"


def _better(finding: Finding) -> str:
    return f"is better by {_points(*finding.interval)} of {finding.metric}"


def _no_worse(finding: Finding) -> str:
    if finding.metric == "disagreement":
        return f"is no worse: at most {round(100 * finding.interval.high, 2):g}% of its answers differ"
    return f"is no worse: {_points(*finding.interval, '+')} of {finding.metric}"


def _too_bad(finding: Finding) -> str:
    verb = "is late more often" if finding.metric.startswith("late answers") else "fails more often"
    when = IN_AN_HOUR if finding.metric.endswith(IN_AN_HOUR) else ""
    return f"{verb} by {_points(*finding.interval)}{when}"


def _worse(finding: Finding) -> str:
    low, high = finding.interval
    return f"is worse by {_points(-high, -low)} of {finding.metric}"


_COUNTED = {"accuracy on the same pictures": "pictures", "disagreement": "pictures"}
"""What a metric counts, where it is not keys."""
_SAID: dict[str, Callable[[Finding], str]] = {
    "better": _better,
    "no worse": _no_worse,
    "worse": _worse,
    "too bad": _too_bad,
}
