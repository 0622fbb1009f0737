"""What the facts of an experiment say of a candidate, in numbers and in one sentence. Pure.

What can make a verdict wrong shares the allowed error (alpha), so that it is wrong no oftener than promised, whenever
one looks. A mismatch between how requests fell on the arms and how they should have blocks every other word: then the
arms cannot be compared.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from services.experiments.evalues import (
    Interval,
    Pairs,
    Rate,
    difference_interval,
    mismatch_log_e,
    paired_interval,
    rate_interval,
)

MISMATCH_ALPHA = 1e-3
"""Of the check that requests fall on arms as they should: it is looked at all the time, and must not cry wolf."""

_ARM_METRICS = 3
"""That can make the verdict on an arm wrong: late answers, failures and accuracy."""
_NONE, _NO_PAIRS = Rate(0, 0), Pairs(0, 0, 0)


class Advice(StrEnum):
    """Says what to do."""

    GO_ON = "go on"
    ROLL_BACK = "roll back"
    PROMOTE = "promote"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Facts:
    """Counts what happened with control and candidate since their weights were last changed.

    Evidence is about events that do not depend on each other. Arms are dealt to keys, and requests of one key are
    alike: so each figure counts a key once, by the first of its events, except for `pairs` and `disagreement`, whose
    two answers are to one picture.
    """

    assigned: tuple[int, int] = (0, 0)
    """Keys that were dealt control and candidate, whether or not their versions then took requests."""
    correct: tuple[Rate, Rate] = (_NONE, _NONE)
    """Right answers among keys with a labelled one."""
    pairs: Pairs = _NO_PAIRS
    """Labelled pictures that both saw: only the candidate was right, only control, both or neither."""
    disagreement: Rate = _NONE
    """Pictures that both saw, to which their first classes differ."""
    slow: tuple[Rate, Rate] = (_NONE, _NONE)
    """Keys whose answer came later than the service level allows."""
    failed: tuple[Rate, Rate] = (_NONE, _NONE)
    """Keys whose request the server failed."""

    @property
    def of_arm(self) -> bool:
        """Says whether they are of an arm, whose answers people get."""
        counted = sum(each.total for each in (*self.correct, *self.slow, *self.failed))
        return any(self.assigned) or counted > 0

    @property
    def of_shadow(self) -> bool:
        """Says whether they are of a shadow. A candidate is either."""
        return self.pairs.total + self.disagreement.total > 0


@dataclass(frozen=True, slots=True)
class Rules:
    """Says what is asked of a candidate; margins are differences of shares, 0 to 1."""

    weights: tuple[float, float] = (1.0, 1.0)
    """By which keys fall on control and candidate."""
    alpha: float = 0.05
    """Largest probability that any verdict is ever wrong."""
    candidates: int = 1
    """That are compared with the control in this experiment: each gets its part of alpha."""
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
    def ratio(self) -> float:
        """Returns how many keys the control gets for one of the candidate's."""
        return self.weights[0] / self.weights[1]


@dataclass(frozen=True, slots=True)
class Finding:
    """Is what one metric says: the candidate's share less the control's."""

    metric: str
    estimate: float
    interval: Interval
    events: int
    word: str
    """`better`, `worse`, `no worse`, `too bad`, `within bounds`, or `open`."""

    def sentence(self) -> str:
        """Says it in words, in points."""
        low, high = (f"{100 * bound:+.2f}" for bound in self.interval)
        return (
            f"{self.metric}: {self.word}, {100 * self.estimate:+.2f} points ({low} to {high}, {self.events:,} events)"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Is what to do, why, and what every metric says."""

    advice: Advice
    sentence: str
    findings: tuple[Finding, ...] = ()


def judge(facts: Facts, rules: Rules) -> Verdict:
    """Returns what the facts say."""
    if mismatch_log_e(facts.assigned, rules.weights) >= math.log(1 / MISMATCH_ALPHA):
        return Verdict(Advice.REPAIR, _mismatch(facts, rules))
    found = tuple(findings(facts, rules))
    bad = [each for each in found if each.word in ("too bad", "worse")]
    if bad:
        return Verdict(Advice.ROLL_BACK, f"roll back: {'; '.join(each.sentence() for each in bad)}", found)
    good = [each for each in found if each.word in rules.promote]
    # A shadow answers nobody, so its evidence is about accuracy alone.
    guarded = not facts.of_arm or all(
        each.word != "open" for each in found if each.metric in ("late answers", "failures")
    )
    if good and guarded:
        return Verdict(Advice.PROMOTE, f"promote: {'; '.join(each.sentence() for each in good)}", found)
    return Verdict(Advice.GO_ON, _open(found, good=bool(good)), found)


def findings(facts: Facts, rules: Rules) -> Iterator[Finding]:
    """Returns what each metric says; those without events say `open`.

    The verdict on an arm is wrong only if the interval of one of three metrics is. That on a shadow which is no worse
    is wrong only if an end of the interval of pairs is, and that on one which is worse only if the other end or the
    bound of disagreement is: three ends with half of alpha each, of which no more than two count.
    """
    alpha = rules.candidate_alpha / (2 if facts.of_arm and facts.of_shadow else 1)
    part = alpha / _ARM_METRICS
    yield _guardrail("late answers", facts.slow, rules.slow_margin, part, rules.ratio)
    yield _guardrail("failures", facts.failed, rules.failed_margin, part, rules.ratio)
    yield _accuracy_apart(facts.correct, rules, part)
    yield _accuracy_paired(facts.pairs, rules, alpha)
    yield _disagreement(facts.disagreement, rules, alpha / 2)


def _guardrail(metric: str, rates: tuple[Rate, Rate], margin: float, alpha: float, ratio: float) -> Finding:
    before, after = rates
    interval = difference_interval(before, after, alpha, ratio)
    word = "too bad" if interval.low > margin else "within bounds" if interval.high <= margin else "open"
    return Finding(metric, after.share - before.share, interval, before.total + after.total, word)


def _accuracy_apart(rates: tuple[Rate, Rate], rules: Rules, alpha: float) -> Finding:
    before, after = rates
    interval = difference_interval(before, after, alpha, rules.ratio)
    word = _word(interval, rules.accuracy_margin)
    return Finding("accuracy", after.share - before.share, interval, before.total + after.total, word)


def _accuracy_paired(pairs: Pairs, rules: Rules, alpha: float) -> Finding:
    interval = paired_interval(pairs, alpha)
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


def _mismatch(facts: Facts, rules: Rules) -> str:
    control, candidate = facts.assigned
    wanted = (control + candidate) * rules.weights[1] / sum(rules.weights)
    return (
        f"repair: the candidate was dealt {candidate:,} of {control + candidate:,} keys, where its part is "
        f"{wanted:,.0f}; until that is explained the arms cannot be compared"
    )


def _open(found: Sequence[Finding], *, good: bool) -> str:
    waiting = [each for each in found if each.word == "open" and each.events]
    if not any(each.events for each in found):
        return "go on: nothing is known yet"
    why = "the guardrails are not certain yet" if good else "nothing is certain yet"
    return f"go on: {why}; {'; '.join(each.sentence() for each in waiting or found)}"
