"""What the facts of an experiment say of a candidate, in numbers and in one sentence. Pure.

What can make a verdict wrong shares the allowed error (alpha), so that it is wrong no oftener than promised, whenever
one looks. A mismatch between how requests fell on the arms and how they should have blocks every other word: then the
arms cannot be compared.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from services.experiments.evalues import (
    Interval,
    Pairs,
    Rate,
    difference_interval,
    mismatch_log_e,
    paired_interval,
    rate_interval,
)
from services.experiments.findings import IN_AN_HOUR, Finding, joined

MISMATCH_ALPHA = 1e-3
"""Of the check that requests fall on arms as they should: it is looked at all the time, and must not cry wolf.

It is an experiment's; epochs and candidates share it as they share alpha.
"""

_ARM_METRICS = 3
"""That can make the verdict on an arm wrong: late answers, failures and accuracy."""
_UNEVEN = ", whose labels do not fall on the arms as keys are dealt, so that it is not called better, nor no worse"
_NONE, _NO_PAIRS = Rate(0, 0), Pairs(0, 0, 0)
_Rates = tuple[Rate, Rate]
"""Of control and candidate."""


class Advice(StrEnum):
    """Says what to do."""

    GO_ON = "go on"
    ROLL_BACK = "roll back"
    PROMOTE = "promote"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Hour:
    """Counts what happened within one hour: there a key counts again, by its first outcome in it."""

    index: int
    """0: that in which the first key was dealt an arm."""
    slow: _Rates = (_NONE, _NONE)
    failed: _Rates = (_NONE, _NONE)

    @property
    def part(self) -> float:
        """Returns its part of what all hours get: they are that together, however many there will be."""
        return 1 / ((self.index + 1) * (self.index + 2))


@dataclass(frozen=True, slots=True)
class Facts:
    """Counts what happened with control and candidate since their weights were last changed.

    Evidence is about events that do not depend on each other. Arms are dealt to keys, and requests of one key are
    alike: so each figure counts a key once, by the first of its events, except for `pairs` and `disagreement`, whose
    two answers are to one picture: they count a picture once. A shadow that failed has given another answer than the
    control, and a wrong one.
    """

    shadow: bool = False
    """Whether the candidate is a shadow, which answers nobody. Else it is an arm."""

    assigned: tuple[int, int] = (0, 0)
    """Keys that were dealt control and candidate, whether or not their versions then took requests."""
    correct: _Rates = (_NONE, _NONE)
    """Right answers among keys with a labelled one, each by the one whose label came first."""
    pairs: Pairs = _NO_PAIRS
    """Labelled pictures that both saw: only the candidate was right, only control, both or neither."""
    disagreement: Rate = _NONE
    """Pictures that both saw, to which their first classes differ."""
    slow: _Rates = (_NONE, _NONE)
    """Keys whose answer came later than the service level allows."""
    failed: _Rates = (_NONE, _NONE)
    """Keys whose request the server failed."""
    hours: tuple[Hour, ...] = ()
    """Late answers and failures of the last hours, the newest first: a version may break once all keys were counted."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Says what is asked of a candidate; margins are differences of shares, 0 to 1."""

    weights: tuple[float, float] = (1.0, 1.0)
    """By which keys fall on control and candidate."""
    alpha: float = 0.05
    """Largest probability that any verdict is ever wrong."""
    mismatch_alpha: float = MISMATCH_ALPHA
    """Largest probability that it is ever wrong to say that the dealing must be repaired."""
    candidates: int = 1
    """That are compared with the control in this experiment: each gets its part of either alpha."""
    accuracy_margin: float = 0.01
    """Loss of accuracy that is allowed: within it the candidate counts as no worse, surely beyond it as worse."""
    slow_margin: float = 0.02
    failed_margin: float = 0.002
    """By which a guardrail may be exceeded."""
    promote: frozenset[str] = field(default_factory=lambda: frozenset({"better"}))
    """Which words about accuracy are enough to promote: `better`, or `no worse` as well."""

    @property
    def candidate_alpha(self) -> float:
        """Returns the part of alpha that one candidate gets."""
        return self.alpha / self.candidates

    @property
    def mismatch_limit(self) -> float:
        """Returns the log e-value from which on the keys of one candidate do not fall on it as they should."""
        return math.log(self.candidates / self.mismatch_alpha)

    @property
    def ratio(self) -> float:
        """Returns how many keys the control gets for one of the candidate's."""
        return self.weights[0] / self.weights[1]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Is what to do, why, and what every metric says."""

    advice: Advice
    sentence: str
    findings: tuple[Finding, ...] = ()


def judge(facts: Facts, rules: Rules, name: str = "the candidate") -> Verdict:
    """Returns what the facts say.

    Args:
        facts: of control and candidate.
        rules: what is asked of the candidate.
        name: the candidate's, for the sentence.
    """
    if mismatch_log_e(facts.assigned, rules.weights) >= rules.mismatch_limit:
        return Verdict(Advice.REPAIR, _mismatch(facts, rules, name))
    found = tuple(findings(facts, rules))
    bad = [each for each in found if each.word in ("too bad", "worse")]
    if bad:
        return Verdict(Advice.ROLL_BACK, f"{name} {joined(bad)}; roll it back.", found)
    good = [each for each in found if each.word in rules.promote]
    # A shadow answers nobody, and what it fails counts as a wrong answer.
    guarded = facts.shadow or all(each.word != "open" for each in found if each.metric in ("late answers", "failures"))
    if good and guarded:
        return Verdict(Advice.PROMOTE, f"{name} {joined(good)}; promote it.", found)
    return Verdict(Advice.GO_ON, _open(found, good, name), found)


def findings(facts: Facts, rules: Rules) -> Iterator[Finding]:
    """Returns what each metric says; those without events say `open`."""
    return _of_shadow(facts, rules) if facts.shadow else _of_arm(facts, rules)


def _of_arm(facts: Facts, rules: Rules) -> Iterator[Finding]:
    """Returns what is known of an arm: a verdict is wrong only if the interval of one of three metrics is."""
    part = rules.candidate_alpha / _ARM_METRICS
    late = [(hour.part, hour.slow) for hour in facts.hours]
    failures = [(hour.part, hour.failed) for hour in facts.hours]
    yield from _guarded(_Guard("late answers", rules.slow_margin, part, rules.ratio), facts.slow, late)
    yield from _guarded(_Guard("failures", rules.failed_margin, part, rules.ratio), facts.failed, failures)
    yield _accuracy_apart(facts.correct, rules, part)


def _of_shadow(facts: Facts, rules: Rules) -> Iterator[Finding]:
    """Returns what is known of a shadow.

    What rolls it back shares a half of alpha: that it fails too often, and the high end of the interval of pairs. What
    promotes it has a half each: the low end of the interval of pairs, and the bound of disagreement. So, whichever is
    the truth, the ends that can make a verdict wrong add up to alpha: if it is worse than the margin allows, the two
    that promote; if not, the two that roll back, and the low end of pairs where only better is enough and it is not.
    The bound of disagreement promotes nobody then: it cannot say better.
    """
    alpha = rules.candidate_alpha
    yield _Guard("failures", rules.failed_margin, alpha, rules.ratio).finding(facts.failed, 1 / 4)
    yield _accuracy_paired(facts.pairs, rules, alpha)
    yield _disagreement(facts.disagreement, rules, alpha / 2)


class _Guard(NamedTuple):
    """Is what may not be exceeded."""

    metric: str
    margin: float
    alpha: float
    ratio: float

    def finding(self, rates: _Rates, part: float, when: str = "") -> Finding:
        """Returns what the rates say, given a part of its alpha."""
        before, after = rates
        low, high = interval = difference_interval(before, after, self.alpha * part, self.ratio)
        word = "too bad" if low > self.margin else "within bounds" if high <= self.margin else "open"
        return Finding(f"{self.metric}{when}", after.share - before.share, interval, before.total + after.total, word)


def _guarded(guard: _Guard, rates: _Rates, hours: Iterable[tuple[float, _Rates]]) -> Iterator[Finding]:
    """Returns what the whole epoch says, and, where that is not enough, the newest of its hours that is too bad.

    The epoch, in which a key counts once, has half of alpha, and it alone can say that all is well. The hours share the
    other half. They have keys in common, but not their alpha: no more is asked of them for the promise to hold.
    """
    found = guard.finding(rates, 0.5)
    yield found
    if found.word == "too bad":
        return
    beyond = ((part, each) for part, each in hours if each[1].share - each[0].share > guard.margin)
    in_hours = (guard.finding(each, 0.5 * part, IN_AN_HOUR) for part, each in beyond)
    yield from islice((each for each in in_hours if each.word == "too bad"), 1)


def _accuracy_apart(rates: _Rates, rules: Rules, alpha: float) -> Finding:
    """Compares accuracies; where labels come for one arm more often than for the other, it says nothing good."""
    before, after = rates
    interval = difference_interval(before, after, alpha, rules.ratio)
    word = _word(interval, rules.accuracy_margin)
    uneven = mismatch_log_e((before.total, after.total), rules.weights) >= rules.mismatch_limit
    doubt = _UNEVEN if uneven and word in ("better", "no worse") else ""
    shown = "open" if doubt else word
    return Finding("accuracy", after.share - before.share, interval, before.total + after.total, shown, doubt)


def _accuracy_paired(pairs: Pairs, rules: Rules, alpha: float) -> Finding:
    interval = Interval(paired_interval(pairs, alpha).low, paired_interval(pairs, alpha / 2).high)
    word = _word(interval, rules.accuracy_margin)
    return Finding("accuracy on the same pictures", pairs.difference, interval, pairs.total, word)


def _word(interval: Interval, margin: float) -> str:
    if interval.low > 0:
        return "better"
    if interval.low >= -margin:
        return "no worse"
    return "worse" if interval.high < -margin else "open"


def _disagreement(rate: Rate, rules: Rules, alpha: float) -> Finding:
    """Bounds the change of accuracy with no label: it is at most the share of pictures with another first class."""
    share = rate_interval(rate, alpha)
    word = "no worse" if share.high <= rules.accuracy_margin else "open"
    return Finding("disagreement", rate.share, share, rate.total, word)


def _mismatch(facts: Facts, rules: Rules, name: str) -> str:
    control, candidate = facts.assigned
    wanted = (control + candidate) * rules.weights[1] / sum(rules.weights)
    return (
        f"{name} was dealt {candidate:,} of {control + candidate:,} keys, where its part is {wanted:,.0f}; repair the "
        f"dealing, without which the arms cannot be compared."
    )


def _open(found: Sequence[Finding], good: Sequence[Finding], name: str) -> str:
    seen = [each for each in found if each.events]
    if not seen:
        return f"Nothing is known of {name} yet; go on."
    waiting = "; ".join(each.range() for each in [each for each in seen if each.word == "open"] or seen)
    if good:
        return f"{name} {joined(good)}, but its guardrails are not certain yet: {waiting}; go on."
    return f"Nothing is certain of {name} yet: {waiting}; go on."
