"""What may happen in an experiment: who asks, how it ends, and when a label comes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.verdicts.looks import Flags, Floats, Rates, Track

Ints = NDArray[np.int64]
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Truth:
    """Is what the arms are really like; shares of keys."""

    slow: tuple[float, float] = (0.01, 0.01)
    failed: tuple[float, float] = (0.001, 0.001)
    correct: tuple[float, float] = (0.90, 0.90)
    labelled: float = 0.3
    """Share of the keys for which a label comes."""
    weights: tuple[float, ...] = (1.0, 1.0)
    """Of control and candidates, which are all alike."""


@dataclass(frozen=True, slots=True)
class Events:
    """Is what happened to keys, one at each look, in the order in which they came."""

    arm: Ints
    """0: the control."""
    slow: Flags
    failed: Flags
    right: Flags
    label_at: Ints
    """The look at which the label is there, or never."""


World = Callable[[Truth, int, np.random.Generator], Events]
"""Makes so many events."""


def independent(truth: Truth, looks: int, rng: np.random.Generator) -> Events:
    """Returns what happens to keys that have nothing to do with each other; labels come at once."""
    draws = rng.random((3, looks))
    arm = np.searchsorted(_ends(truth), rng.random(looks))
    slow, failed, right = (draw < _of(arm, rates) for draw, rates in zip(draws, _rates(truth), strict=True))
    label_at = np.where(rng.random(looks) < truth.labelled, np.arange(looks), _NEVER)
    return Events(arm, slow, failed, right, label_at)


def delayed(truth: Truth, looks: int, rng: np.random.Generator) -> Events:
    """Returns the same with labels that come late, in another order, and sooner where the answer was wrong."""
    events = independent(truth, looks, rng)
    mean = np.where(events.right, looks / 4, looks / 16)
    late = events.label_at + np.minimum(rng.exponential(mean), looks).astype(np.int64)
    return Events(
        events.arm, events.slow, events.failed, events.right, np.where(events.label_at < _NEVER, late, _NEVER)
    )


def bursts(truth: Truth, looks: int, rng: np.random.Generator) -> Events:
    """Returns the same where late answers, failures and hard pictures come in bursts, for both arms alike.

    For 200 events of 2,000 the control is 5.5 times as bad as on average, for the rest half as bad; what the candidate
    is worse by is always the same.
    """
    events = independent(truth, looks, rng)
    bad = np.repeat(rng.random(looks // 200 + 1) < 0.1, 200)[:looks]
    times = np.where(bad, 5.5, 0.5)
    slow, failed = (
        rng.random(looks) < times * rates[0] + _of(events.arm, (0.0, rates[1] - rates[0]))
        for rates in (truth.slow, truth.failed)
    )
    right = rng.random(looks) < _of(events.arm, truth.correct) + np.where(bad, -0.18, 0.02)
    return Events(events.arm, slow, failed, right, events.label_at)


def sticky(truth: Truth, looks: int, rng: np.random.Generator) -> Events:
    """Returns the first request of each key, where keys send many: each has its arm, and rates of its own."""
    requests = sticky_by_request(truth, looks * 10, rng)
    first = np.sort(_firsts(requests.key))[:looks]
    place = np.arange(len(first))
    of = requests.events
    label_at = np.where(of.label_at[first] < _NEVER, place, _NEVER)
    return Events(of.arm[first], of.slow[first], of.failed[first], of.right[first], label_at)


def _firsts(key: Ints) -> Ints:
    """Returns where each key comes first."""
    first = np.full(int(key.max()) + 1, -1)
    first[key[::-1]] = np.arange(len(key))[::-1]
    return first[first >= 0]


@dataclass(frozen=True, slots=True)
class Requests:
    """Is what happened to requests, and whose they were."""

    key: Ints
    events: Events


def sticky_by_request(truth: Truth, looks: int, rng: np.random.Generator) -> Requests:
    """Returns requests of keys: 5 each on average, some a hundred times as many as others."""
    keys = max(2, looks // 5)
    busy = rng.pareto(1.2, keys) + 0.1
    key = rng.permutation(np.repeat(np.arange(keys), rng.poisson(busy * looks / busy.sum())))
    looks = len(key)
    arms = np.searchsorted(_ends(truth), rng.random(keys))
    arm = arms[key]

    def happened(rates: tuple[float, float]) -> Flags:
        mean = np.clip(_of(arms, rates), 1e-9, 1 - 1e-9)
        flags: Flags = rng.random(looks) < rng.beta(0.5 * mean, 0.5 * (1 - mean))[key]
        return flags

    slow, failed, right = (happened(rates) for rates in _rates(truth))
    label_at = np.where(rng.random(looks) < truth.labelled, np.arange(looks), _NEVER)
    return Requests(key, Events(arm, slow, failed, right, label_at))


def _ends(truth: Truth) -> Floats:
    """Returns where the part of each arm ends, 0 to 1, but of the last one."""
    ends: Floats = np.cumsum(truth.weights)[:-1] / sum(truth.weights)
    return ends


def _rates(truth: Truth) -> tuple[tuple[float, float], ...]:
    return truth.slow, truth.failed, truth.correct


def _of(arm: Ints, rates: tuple[float, float]) -> Floats:
    return np.where(arm == 0, *rates)


def tracks(events: Events, truth: Truth) -> list[Track]:
    """Returns what is known of each candidate at each look."""
    control, *candidates = (_arm(events, arm) for arm in range(len(truth.weights)))
    nothing = np.zeros(len(events.arm))
    none = Rates(nothing, nothing)
    return [
        Track(
            looks=len(events.arm),
            assigned=(control[0].total, candidate[0].total),
            slow=(control[0], candidate[0]),
            failed=(control[1], candidate[1]),
            correct=(control[2], candidate[2]),
            pairs=(nothing, nothing, nothing),
            disagreement=none,
        )
        for candidate in candidates
    ]


def _arm(events: Events, arm: int) -> tuple[Rates, Rates, Rates]:
    mine = events.arm == arm
    total = np.cumsum(mine).astype(float)
    slow, failed = (np.cumsum(mine & each).astype(float) for each in (events.slow, events.failed))
    labelled = _arrived(events, mine)
    return Rates(slow, total), Rates(failed, total), Rates(_arrived(events, mine & events.right), labelled)


def _arrived(events: Events, chosen: Flags) -> Floats:
    looks = len(events.arm)
    there = events.label_at[chosen]
    return np.cumsum(np.bincount(there[there < looks], minlength=looks)).astype(float)


@dataclass(frozen=True, slots=True)
class Shadowing:
    """Is what a shadow is really like; shares of pictures."""

    difference: float = 0.0
    """Of its accuracy to that of the control."""
    discordant: float = 0.06
    """Pictures that only one of the two has right."""
    both_wrong: float = 0.0
    """Pictures that both have wrong, and call by different names."""
    labelled: float = 1.0
    failed: float = 0.0
    """Pictures that it fails, of those that only the control has right; the control fails none."""


def shadow_track(shadow: Shadowing, looks: int, rng: np.random.Generator) -> Track:
    """Returns what is known of a shadow after each picture; each is of a key of its own."""
    wins, losses = ((shadow.discordant + sign * shadow.difference) / 2 for sign in (1, -1))
    draw = rng.random(looks)
    labelled = rng.random(looks) < shadow.labelled
    counted = [
        np.cumsum(labelled & each).astype(float)
        for each in (draw < wins, (wins <= draw) & (draw < wins + losses), draw >= wins + losses)
    ]
    differs = np.cumsum(draw < shadow.discordant + shadow.both_wrong).astype(float)
    failed = np.cumsum((wins <= draw) & (draw < wins + shadow.failed)).astype(float)
    nothing, seen = np.zeros(looks), np.arange(1.0, looks + 1)
    none = Rates(nothing, nothing)
    return Track(
        looks=looks,
        shadow=True,
        assigned=(nothing, nothing),
        slow=(none, none),
        failed=(Rates(nothing, seen), Rates(failed, seen)),
        correct=(none, none),
        pairs=(counted[0], counted[1], counted[2]),
        disagreement=Rates(differs, seen),
    )
