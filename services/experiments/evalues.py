"""Evidence that may be looked at after every event: e-values and confidence sequences for counts.

A confidence sequence is an interval for each number of events that holds the truth at all of them together with
probability 1 - alpha, however often one looks and whenever one stops; the e-value against a hypothesis exceeds
1 / alpha with probability alpha at most, if it is true. The state is counts: they add up over replicas, do not mind the
order of events, and survive a restart.

Rates are tested by the probability of the events under a mixture of hypotheses around the null one, over that under
the null (the beta-binomial mixture of Robbins, 1970). How wide the mixture should be depends on the difference that is
to be found; three widths at once cost log 3 at most, and find small ones and large ones. A null that leaves a rate open
is refuted once each of its rates is: the least e-value counts. Pairs are tested by bets (Waudby-Smith and Ramdas,
2021), none of which gains on average if the null is true. Only `math.lgamma` is needed. Logarithms are natural.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

STRENGTHS = (16.0, 128.0, 1024.0)
"""Of the mixtures: each is as wide as if the null's rates had been seen in so many events before."""
STAKES = tuple(0.03 * (0.95 / 0.03) ** (step / 7) for step in range(8))
"""Of the bets, 0.03 to 0.95 of what one has: the best one is about the difference over the share of pairs untied."""
_STEPS = 26
"""Of a bisection: the interval is exact to 1e-7, and rather too wide."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_GOLDEN_STEPS = 38


class Interval(NamedTuple):
    """Is a range that holds the truth."""

    low: float
    high: float


class Rate(NamedTuple):
    """Counts events that happened among those that could."""

    hits: int
    total: int

    @property
    def share(self) -> float:
        """Returns the share of hits, 0 where there is nothing yet."""
        return self.hits / self.total if self.total else 0.0

    @property
    def misses(self) -> int:
        """Returns the number of the others."""
        return self.total - self.hits


class Pairs(NamedTuple):
    """Counts pairs of answers to the same input, by which of the two was better."""

    wins: int
    losses: int
    ties: int

    @property
    def total(self) -> int:
        """Returns the number of pairs."""
        return self.wins + self.losses + self.ties

    @property
    def difference(self) -> float:
        """Returns the share of wins less that of losses, 0 where there is nothing yet."""
        return (self.wins - self.losses) / self.total if self.total else 0.0

    @property
    def swapped(self) -> "Pairs":
        """Returns them as the other one sees them."""
        return Pairs(self.losses, self.wins, self.ties)


class _Mixtures:
    """Holds the mixtures of every strength for some counts, around rates that are given later.

    The log e-value is convex in the rates, and not above 0 where they are the shares of the counts.
    """

    def __init__(self, *groups: tuple[Sequence[int], float]) -> None:
        """Args are groups of counts of events of each kind, and what each group's strengths are multiplied by."""
        self._counts = tuple((count, ratio) for counts, ratio in groups for count in counts)
        self._constants = tuple(
            (strength, sum(_rise(strength * ratio, sum(counts)) for counts, ratio in groups)) for strength in STRENGTHS
        )

    def log_e(self, rates: Sequence[float]) -> float:
        """Returns the log probability of the events under the mixtures around these rates, less that under the rates.

        Args:
            rates: of each kind, 0 to 1; in each group their sum is 1.
        """
        seen = [(count, ratio, rate) for (count, ratio), rate in zip(self._counts, rates, strict=True) if count]
        if any(rate <= 0 for _, _, rate in seen):
            return math.inf
        mixed = [
            sum(_rise(strength * ratio * rate, count) for count, ratio, rate in seen) - constant
            for strength, constant in self._constants
        ]
        return _log_mean(mixed) - sum(count * math.log(rate) for count, _, rate in seen)


def _rise(start: float, count: int) -> float:
    """Returns log(start (start + 1) ... (start + count - 1))."""
    return math.lgamma(start + count) - math.lgamma(start)


def rates_log_e(counts: Sequence[int], rates: Sequence[float]) -> float:
    """Returns the log e-value against the hypothesis that events of each kind happen at these rates."""
    return _Mixtures((counts, 1.0)).log_e(rates)


def rate_log_e(rate: Rate, null: float) -> float:
    """Returns the log e-value against the hypothesis that events happen at the rate `null`."""
    return rates_log_e((rate.hits, rate.misses), (null, 1 - null))


def rate_interval(rate: Rate, alpha: float) -> Interval:
    """Returns the confidence sequence of a rate."""
    return _interval(lambda null: rate_log_e(rate, null), rate.share, Interval(0.0, 1.0), alpha)


def paired_log_e(pairs: Pairs, null: float) -> float:
    """Returns the log e-value against the hypothesis that the share of wins less that of losses is `null` at most.

    Somebody bets on each pair that it will be more, a fixed part of what he has. With a null of 0, where ties say
    nothing, this is the sequential test of McNemar. It falls with the null; that the share is less is said by the pairs
    swapped, and the null with the other sign.
    """
    return _log_mean(_won(pairs, null, stake) for stake in STAKES)


def paired_interval(pairs: Pairs, alpha: float) -> Interval:
    """Returns the confidence sequence of the share of wins less that of losses, -1 to 1; each end has half of alpha."""
    return Interval(_paired_low(pairs, alpha / 2), -_paired_low(pairs.swapped, alpha / 2))


def _paired_low(pairs: Pairs, alpha: float) -> float:
    return _interval(lambda null: paired_log_e(pairs, null), pairs.difference, Interval(-1.0, 1.0), alpha).low


def _won(pairs: Pairs, null: float, stake: float) -> float:
    """Returns the logarithm of what a bettor has who began with 1; nobody may bet more than he has."""
    gains = (1 + stake * (1 - null), 1 - stake * (1 + null), 1 - stake * null)
    if min(gains) <= 0:
        return -math.inf
    return sum(count * math.log(gain) for count, gain in zip(pairs, gains, strict=True))


def difference_log_e(before: Rate, after: Rate, null: float, ratio: float = 1.0, enough: float = -math.inf) -> float:
    """Returns the log e-value against the hypothesis that the rate of `after` less that of `before` is `null`.

    Args:
        before: of the control.
        after: of the candidate.
        null: the hypothesis, -1 to 1.
        ratio: of the control's events to the candidate's, as planned: the rate that will be known better gets the
            narrower mixture. Whatever it is, the e-value is one.
        enough: how little it may be and need not be known exactly.
    """
    mixtures = _Mixtures(((before.hits, before.misses), ratio), ((after.hits, after.misses), 1.0))

    def log_e(rate: float) -> float:
        return mixtures.log_e((rate, 1 - rate, rate + null, 1 - rate - null))

    return _least(log_e, max(0.0, -null), min(1.0, 1.0 - null), enough)


def difference_interval(before: Rate, after: Rate, alpha: float, ratio: float = 1.0) -> Interval:
    """Returns the confidence sequence of the rate of `after` less that of `before`, -1 to 1."""
    enough = math.log(1 / alpha)
    middle = after.share - before.share

    def log_e(null: float) -> float:
        return difference_log_e(before, after, null, ratio, enough)

    return _interval(log_e, middle, Interval(-1.0, 1.0), alpha)


def mismatch_log_e(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Returns the log e-value against the hypothesis that events fall on arms by these weights.

    Args:
        counts: of each arm.
        weights: above 0; their sum is the whole.
    """
    total = sum(weights)
    return rates_log_e(counts, [weight / total for weight in weights])


def _log_mean(logs: Iterable[float]) -> float:
    """Returns the logarithm of the mean of what these are the logarithms of."""
    known = tuple(logs)
    most = max(known)
    if math.isinf(most):
        return most
    return most + math.log(sum(math.exp(each - most) for each in known) / len(known))


def _interval(log_e: Callable[[float], float], middle: float, bounds: Interval, alpha: float) -> Interval:
    """Returns where a log e-value is below log(1 / alpha) that is so at `middle` and does not fall away from it."""
    limit = math.log(1 / alpha)
    low = bounds.low if log_e(bounds.low) < limit else _crossing(log_e, middle, bounds.low, limit)
    high = bounds.high if log_e(bounds.high) < limit else _crossing(log_e, middle, bounds.high, limit)
    return Interval(low, high)


def _crossing(log_e: Callable[[float], float], inside: float, outside: float, limit: float) -> float:
    for _ in range(_STEPS):
        between = (inside + outside) / 2
        if log_e(between) < limit:
            inside = between
        else:
            outside = between
    return outside


def _least(convex: Callable[[float], float], low: float, high: float, enough: float) -> float:
    """Returns the least value of a convex function, by golden section, or the first one below `enough`."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = convex(left), convex(right)
    for _ in range(_GOLDEN_STEPS):
        if min(at_left, at_right) < enough:
            break
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = convex(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = convex(right)
    return min(at_left, at_right)
