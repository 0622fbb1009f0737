"""How soon a planted fault is found, or a harmless candidate is known to be harmless."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.verdicts import theory
from benchmarks.verdicts.looks import Judge, part
from benchmarks.verdicts.worlds import Shadowing, Truth, independent, shadow_track, tracks
from services.experiments.verdicts import Rules

_LOOKS = 2_000
"""At which an experiment is looked at: more would find it hardly sooner, and take longer."""
_NO_WORSE = frozenset({"better", "no worse"})
Bound = Callable[[float], tuple[float, float, float]]
"""Returns of alpha: what no test beats on average, and what a test needs that is looked at once, for 50 % and 90 %."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Is an experiment, and the advice that is to be given."""

    name: str
    truth: Truth | Shadowing
    looks: int
    """Events, by which nearly all of them have been found."""
    bound: Bound
    advice: str = "roll_back"


def found(fault: Fault, alpha: float, seed: int) -> float:
    """Returns the number of events after which it is found in one experiment, infinite if it is not."""
    rng = np.random.default_rng(seed)
    if isinstance(fault.truth, Shadowing):
        track = shadow_track(fault.truth, fault.looks, rng)
        judge = Judge(Rules(alpha=alpha, promote=_NO_WORSE))
    else:
        track = tracks(independent(fault.truth, fault.looks, rng), fault.truth)[0]
        judge = Judge(Rules(weights=(fault.truth.weights[0], fault.truth.weights[1]), alpha=alpha))
    every = max(1, fault.looks // _LOOKS)
    firsts = judge.firsts(part(track, slice(every - 1, None, every)), until=fault.advice)
    return every * (float(getattr(firsts, fault.advice)) + 1)


def _apart(
    rates: tuple[float, float], null: float, weights: tuple[float, float] = (1, 1), share: float = 1 / 3
) -> Bound:
    """Returns the bound of two arms, for a metric with a share of alpha."""
    before, after = rates
    part = weights[1] / sum(weights)

    def bound(alpha: float) -> tuple[float, float, float]:
        variance = before * (1 - before) / (1 - part) + after * (1 - after) / part
        distance = after - before - null
        least = math.log(1 / (share * alpha)) / theory.difference_divergence(before, after, null, part)
        once = (theory.at_once(share * alpha, power, distance, variance) for power in (0.5, 0.9))
        return least, *once  # type: ignore[return-value]

    return bound


def _paired(shadow: Shadowing, null: float) -> Bound:
    """Returns the bound of pairs that show a shadow to be worse, which has a quarter of alpha."""
    wins, losses = ((shadow.discordant + sign * shadow.difference) / 2 for sign in (1, -1))

    def bound(alpha: float) -> tuple[float, float, float]:
        variance = shadow.discordant - shadow.difference**2
        least = math.log(4 / alpha) / theory.paired_divergence(wins, losses, null)
        once = (theory.at_once(alpha / 2, power, shadow.difference - null, variance) for power in (0.5, 0.9))
        return least, *once  # type: ignore[return-value]

    return bound


def _agreeing(rate: float, null: float) -> Bound:
    def bound(alpha: float) -> tuple[float, float, float]:
        least = math.log(2 / alpha) / theory.rate_divergence(rate, null)
        once = (theory.at_once(alpha / 2, power, null - rate, null * (1 - null)) for power in (0.5, 0.9))
        return least, *once  # type: ignore[return-value]

    return bound


def _late(weights: tuple[float, float], looks: int, name: str) -> Fault:
    slow = (0.01, 0.11)
    return Fault(name, Truth(slow=slow, labelled=0, weights=weights), looks, _apart(slow, 0.02, weights, 1 / 6))


def _failing(weights: tuple[float, float], looks: int, name: str) -> Fault:
    failed = (0.001, 0.011)
    return Fault(name, Truth(failed=failed, labelled=0, weights=weights), looks, _apart(failed, 0.002, weights, 1 / 6))


def _pairs(difference: float, discordant: float, looks: int, name: str) -> Fault:
    shadow = Shadowing(difference, discordant)
    return Fault(name, shadow, looks, _paired(shadow, -0.01))


def _disagreeing(rate: float, looks: int) -> Fault:
    shadow = Shadowing(discordant=rate, labelled=0)
    name = f"shadow, {100 * rate:g} % disagree, no label: no worse"
    return Fault(name, shadow, looks, _agreeing(rate, 0.01), "promote")


FAULTS = (
    _late((1, 1), 5_000, "10 points more late"),
    _late((19, 1), 30_000, "10 points more late, candidate with 5 %"),
    _failing((1, 1), 50_000, "1 point more failures"),
    _failing((19, 1), 250_000, "1 point more failures, candidate with 5 %"),
    Fault(
        "2 points less accurate, all labelled",
        Truth(correct=(0.90, 0.88), labelled=1),
        400_000,
        _apart((0.10, 0.12), 0.01),
    ),
    Fault(
        "5 points less accurate, all labelled",
        Truth(correct=(0.90, 0.85), labelled=1),
        40_000,
        _apart((0.10, 0.15), 0.01),
    ),
    Fault(
        "2 points more accurate, all labelled: promote",
        Truth(correct=(0.90, 0.92), labelled=1),
        100_000,
        _apart((0.90, 0.92), 0.0),
        "promote",
    ),
    _pairs(-0.02, 0.03, 20_000, "shadow 2 points worse, 3 % discordant"),
    _pairs(-0.02, 0.06, 40_000, "shadow 2 points worse, 6 % discordant"),
    _pairs(-0.02, 0.12, 80_000, "shadow 2 points worse, 12 % discordant"),
    _disagreeing(0.0, 3_000),
    _disagreeing(0.001, 5_000),
    _disagreeing(0.003, 10_000),
    _disagreeing(0.005, 30_000),
)
