"""How often a verdict is wrong that is looked at after every event, and how often an interval leaves out the truth."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.verdicts.looks import Firsts, Judge, Rates, Track, paired_log_e, rate_refuted, refuted
from benchmarks.verdicts.worlds import (
    Shadowing,
    Truth,
    World,
    bursts,
    delayed,
    independent,
    shadow_track,
    sticky,
    sticky_by_request,
    tracks,
)
from services.experiments.verdicts import Rules

_NO_WORSE = frozenset({"better", "no worse"})


@dataclass(frozen=True, slots=True)
class Case:
    """Is an experiment whose candidates are to be neither rolled back nor promoted, as far as `wrong` says."""

    name: str
    truth: Truth | Shadowing
    world: World = independent
    wrong: tuple[str, ...] = ("roll_back", "promote")
    no_worse: bool = False
    """Whether no worse is enough to promote."""


def _by_request(truth: Truth, looks: int, rng: np.random.Generator) -> object:
    return sticky_by_request(truth, looks, rng).events


_LEVEL = Truth()
_AT_MARGINS = Truth(slow=(0.01, 0.03), failed=(0.001, 0.003), correct=(0.90, 0.89))
_LABELLED = 0.3
BY_REQUEST = Case("A/A, requests of sticky keys counted one by one", _LEVEL, _by_request)  # type: ignore[arg-type]
"""How it should not be done."""
CASES = (
    Case("A/A, keys independent", _LEVEL),
    Case("A/A, sticky keys, each with rates of its own, counted by key", _LEVEL, sticky),
    Case("A/A, labels late, reordered, sooner where wrong", _LEVEL, delayed),
    Case("A/A, late answers and failures in bursts", _LEVEL, bursts),
    Case("A/A, candidate with 5 % of the keys", Truth(weights=(19, 1))),
    Case("A/A, 4 arms", Truth(weights=(1, 1, 1, 1))),
    Case("A/A, shadow", Shadowing(labelled=_LABELLED)),
    Case("as bad as the margins allow in all three", _AT_MARGINS, wrong=("roll_back", "promote")),
    Case("the same, in bursts", _AT_MARGINS, bursts),
    Case("the same, sticky keys", _AT_MARGINS, sticky),
    Case("the same, 4 arms", Truth(_AT_MARGINS.slow, _AT_MARGINS.failed, _AT_MARGINS.correct, weights=(1, 1, 1, 1))),
    Case("shadow as much worse as the margin allows", Shadowing(difference=-0.01, labelled=_LABELLED)),
    Case("shadow that fails as often as the margin allows", Shadowing(failed=0.002, labelled=_LABELLED)),
    Case("1 point less accurate, `no worse` enough", Truth(correct=(0.90, 0.89)), wrong=("promote",), no_worse=True),
    Case("2 points more late, `no worse` enough", Truth(slow=(0.01, 0.03)), wrong=("promote",), no_worse=True),
    Case(
        "shadow 1 point worse, where disagreement is all loss, `no worse` enough",
        Shadowing(difference=-0.0101, discordant=0.0101, labelled=_LABELLED),
        wrong=("promote",),
        no_worse=True,
    ),
)


def run(case: Case, alpha: float, looks: int, seed: int) -> Firsts:
    """Returns when each advice was first given to any candidate of one experiment."""
    rng = np.random.default_rng(seed)
    firsts = [judge.firsts(track) for judge, track in _judged(case, alpha, looks, rng)]
    return Firsts(*(min(getattr(each, name) for each in firsts) for name in ("roll_back", "promote", "repair")))


def _judged(case: Case, alpha: float, looks: int, rng: np.random.Generator) -> list[tuple[Judge, Track]]:
    promote = _NO_WORSE if case.no_worse else frozenset({"better"})
    truth = case.truth
    if isinstance(truth, Shadowing):
        return [(Judge(Rules(alpha=alpha, promote=promote)), shadow_track(truth, looks, rng))]
    control, *others = truth.weights
    rules = Rules(weights=(control, others[0]), alpha=alpha, candidates=len(others), promote=promote)
    return [(Judge(rules), track) for track in tracks(case.world(truth, looks, rng), truth)]


Coverage = Callable[[float, int, np.random.Generator], bool]
"""Says whether an interval held the truth after each of so many events."""


def rate_held(rate: float) -> Coverage:
    """Returns how to see it for a rate."""

    def held(alpha: float, looks: int, rng: np.random.Generator) -> bool:
        hits = np.cumsum(rng.random(looks) < rate).astype(float)
        return not rate_refuted(Rates(hits, np.arange(1.0, looks + 1)), rate, math.log(1 / alpha)).any()

    return held


def difference_held(before: float, after: float, part: float = 0.5) -> Coverage:
    """Returns how to see it for a difference, where the candidate gets a part of the keys."""

    def held(alpha: float, looks: int, rng: np.random.Generator) -> bool:
        arm = rng.random(looks) < part
        hit = rng.random(looks) < np.where(arm, after, before)
        first, second = (
            Rates(np.cumsum(hit & each).astype(float), np.cumsum(each).astype(float)) for each in (~arm, arm)
        )
        return not refuted(first, second, after - before, (1 - part) / part, math.log(1 / alpha)).any()

    return held


def paired_held(difference: float, discordant: float) -> Coverage:
    """Returns how to see it for pairs."""

    def held(alpha: float, looks: int, rng: np.random.Generator) -> bool:
        wins, losses, ties = shadow_track(Shadowing(difference, discordant), looks, rng).pairs
        limit = math.log(2 / alpha)
        below = paired_log_e((wins, losses, ties), difference) >= limit
        return not (below | (paired_log_e((losses, wins, ties), -difference) >= limit)).any()

    return held


INTERVALS: dict[str, Coverage] = {
    **{f"rate of {rate:g}": rate_held(rate) for rate in (0.001, 0.01, 0.1, 0.5)},
    "difference, 0.001 and 0.001": difference_held(0.001, 0.001),
    "difference, 0.01 and 0.03": difference_held(0.01, 0.03),
    "difference, 0.10 and 0.12": difference_held(0.10, 0.12),
    "difference, 0.5 and 0.5": difference_held(0.5, 0.5),
    "difference, 0.01 and 0.03, 5 % of the keys": difference_held(0.01, 0.03, 0.05),
    "pairs, 0 of 6 % discordant": paired_held(0.0, 0.06),
    "pairs, -2 of 6 % discordant": paired_held(-0.02, 0.06),
    "pairs, 1 of 40 % discordant": paired_held(0.01, 0.4),
}


def held(name: str, alpha: float, looks: int, seed: int) -> bool:
    """Says whether the interval of that name held the truth in one experiment, after each event."""
    return INTERVALS[name](alpha, looks, np.random.default_rng(seed))
