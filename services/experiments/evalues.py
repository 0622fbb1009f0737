"""Evidence that may be looked at after every event: e-values and confidence sequences for counts.

A confidence sequence is an interval for each number of events that holds the truth at all of them together with
probability 1 - alpha, however often one looks and whenever one stops; the e-value against a hypothesis exceeds
1 / alpha with probability alpha at most, if it is true. The state is counts: they add up over replicas, do not mind the
order of events, and survive a restart.

Each e-value is the probability of the events under a mixture of all hypotheses (Dirichlet, 1/2 each: Krichevsky and
Trofimov's) over their largest probability under the null hypothesis. For a null that is one point this is the
beta-binomial mixture of Robbins (1970), for others universal inference (Wasserman, Ramdas and Balakrishnan, 2020). Only
`math.lgamma` is needed. Logarithms are natural.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

_PRIOR = 0.5
_STEPS = 60
"""Of a bisection: as many as a double has bits, and a few."""


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


def log_mixture(counts: Sequence[int]) -> float:
    """Returns the log probability of events, in their order, when nothing is known of their rates."""
    prior = _PRIOR * len(counts)
    ups = sum(math.lgamma(count + _PRIOR) - math.lgamma(_PRIOR) for count in counts)
    return ups + math.lgamma(prior) - math.lgamma(sum(counts) + prior)


def log_likelihood(counts: Sequence[int], rates: Sequence[float]) -> float:
    """Returns the log probability of events, in their order, under given rates; 0 of a rate of 0 is certain."""
    return sum(_times_log(count, rate) for count, rate in zip(counts, rates, strict=True))


def _times_log(count: int, rate: float) -> float:
    if not count:
        return 0.0
    return count * math.log(rate) if rate > 0 else -math.inf


def rate_log_e(rate: Rate, null: float) -> float:
    """Returns the log e-value against the hypothesis that events happen at the rate `null`."""
    counts = (rate.hits, rate.misses)
    return log_mixture(counts) - log_likelihood(counts, (null, 1 - null))


def rate_interval(rate: Rate, alpha: float) -> Interval:
    """Returns the confidence sequence of a rate."""
    return _interval(lambda null: rate_log_e(rate, null), rate.share, Interval(0.0, 1.0), alpha)


def mcnemar_log_e(pairs: Pairs) -> float:
    """Returns the log e-value against the hypothesis that wins are as likely as losses: sequential McNemar.

    Ties say nothing: e = 2^(w + l) B(w + 1/2, l + 1/2) / B(1/2, 1/2).
    """
    return rate_log_e(Rate(pairs.wins, pairs.wins + pairs.losses), 0.5)


def paired_log_e(pairs: Pairs, null: float) -> float:
    """Returns the log e-value against the hypothesis that the share of wins less that of losses is `null`."""
    return log_mixture(pairs) - log_likelihood(pairs, _paired_rates(pairs, null))


def paired_interval(pairs: Pairs, alpha: float) -> Interval:
    """Returns the confidence sequence of the share of wins less that of losses, -1 to 1."""
    return _interval(lambda null: paired_log_e(pairs, null), pairs.difference, Interval(-1.0, 1.0), alpha)


def _paired_rates(pairs: Pairs, difference: float) -> tuple[float, float, float]:
    """Returns the likeliest rates of wins, losses and ties with a given difference: the root of a quadratic."""
    wins, losses, ties = pairs
    if not pairs.total:
        return (1 + difference) / 2, (1 - difference) / 2, 0.0
    half = ((wins + losses) * (1 + difference) + 2 * difference * (wins + ties)) / 2
    inner = half**2 - 2 * pairs.total * wins * difference * (1 + difference)
    won = (half + math.sqrt(max(0.0, inner))) / (2 * pairs.total)
    won = min(max(won, difference, 0.0), (1 + difference) / 2)
    lost = max(0.0, won - difference)
    return won, lost, max(0.0, 1 - won - lost)


def difference_log_e(before: Rate, after: Rate, null: float) -> float:
    """Returns the log e-value against the hypothesis that the rate of `after` less that of `before` is `null`."""
    first, second = (before.hits, before.misses), (after.hits, after.misses)
    rate = _common_rate(before, after, null)
    likely = log_likelihood(first, (rate, 1 - rate)) + log_likelihood(second, (rate + null, 1 - rate - null))
    return log_mixture(first) + log_mixture(second) - likely


def difference_interval(before: Rate, after: Rate, alpha: float) -> Interval:
    """Returns the confidence sequence of the rate of `after` less that of `before`, -1 to 1."""
    middle = after.share - before.share
    return _interval(lambda null: difference_log_e(before, after, null), middle, Interval(-1.0, 1.0), alpha)


def excess_log_e(before: Rate, after: Rate, margin: float) -> float:
    """Returns the log e-value against the hypothesis that `after` has at most `margin` more than `before`.

    It is at least the true one, which is below 0, where it is 0: only what exceeds 0 says anything.
    """
    return difference_log_e(before, after, margin) if after.share - before.share > margin else 0.0


def _common_rate(before: Rate, after: Rate, difference: float) -> float:
    """Returns the likeliest rate of `before` where that of `after` is higher by the difference."""
    if difference == 0:
        return Rate(before.hits + after.hits, before.total + after.total).share
    low, high = max(0.0, -difference), min(1.0, 1.0 - difference)

    def slope(rate: float) -> float:
        return _slope(before, rate) + _slope(after, rate + difference)

    return _falling_root(slope, low, high)


def _slope(rate: Rate, at: float) -> float:
    """Returns the derivative of the log likelihood."""
    up = rate.hits / at if at > 0 else (math.inf if rate.hits else 0.0)
    down = rate.misses / (1 - at) if at < 1 else (math.inf if rate.misses else 0.0)
    return up - down


def mismatch_log_e(counts: Sequence[int], weights: Sequence[float]) -> float:
    """Returns the log e-value against the hypothesis that events fall on arms by these weights.

    Args:
        counts: of each arm.
        weights: above 0; their sum is the whole.
    """
    total = sum(weights)
    return log_mixture(counts) - log_likelihood(counts, [weight / total for weight in weights])


def _interval(log_e: Callable[[float], float], middle: float, bounds: Interval, alpha: float) -> Interval:
    """Returns where a convex log e-value, lowest at `middle`, is below log(1 / alpha)."""
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


def _falling_root(falling: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(_STEPS):
        between = (low + high) / 2
        if falling(between) > 0:
            low = between
        else:
            high = between
    return (low + high) / 2
