"""What no test can do better, and what one can that may be looked at once: numbers to hold simulations against.

A test that is wrong with probability alpha at most, whenever it stops, needs log(1 / alpha) / KL events on average,
where KL is the divergence of the truth from the nearest hypothesis that is to be refuted (Wald, 1945).
"""

import math
from collections.abc import Callable, Sequence

from scipy.optimize import minimize_scalar
from scipy.stats import norm

Shares = Sequence[float]


def rate_divergence(rate: float, null: float) -> float:
    """Returns the divergence per event."""
    return _divergence((rate, 1 - rate), (null, 1 - null))


def difference_divergence(before: float, after: float, null: float, part: float) -> float:
    """Returns the divergence per event, of which the candidate gets a part."""

    def divergence(rate: float) -> float:
        first = _divergence((before, 1 - before), (rate, 1 - rate))
        return (1 - part) * first + part * _divergence((after, 1 - after), (rate + null, 1 - rate - null))

    return _least(divergence, max(0.0, -null), min(1.0, 1 - null))


def paired_divergence(wins: float, losses: float, null: float) -> float:
    """Returns the divergence per pair."""
    truth = wins, losses, 1 - wins - losses
    return _least(lambda won: _divergence(truth, (won, won - null, 1 - 2 * won + null)), max(0.0, null), (1 + null) / 2)


def at_once(alpha: float, power: float, distance: float, variance: float) -> float:
    """Returns how many events a test needs that is looked at once.

    Args:
        alpha: of both sides.
        power: probability to find it.
        distance: of truth and hypothesis.
        variance: of its estimate, times the number of events.
    """
    return float((norm.isf(alpha / 2) + norm.ppf(power)) ** 2 * variance / distance**2)


def _divergence(truth: Shares, null: Shares) -> float:
    return sum(one * math.log(one / other) for one, other in zip(truth, null, strict=True) if one)


def _least(divergence: Callable[[float], float], low: float, high: float) -> float:
    gap = 1e-9
    found = minimize_scalar(divergence, bounds=(low + gap, high - gap), method="bounded", options={"xatol": 1e-12})
    return float(found.fun)
