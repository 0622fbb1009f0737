"""Judges an experiment after every event at once: the words of `services.experiments.verdicts`, in arrays.

A word asks whether a hypothesis is refuted. That costs the search for its least e-value, so two bounds that are cheap
are looked at first: no e-value is above the ratio of likelihoods, and the least one is not above that at a guess.
"""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from services.experiments import evalues
from services.experiments.evalues import STAKES, STRENGTHS
from services.experiments.verdicts import Facts, Rules

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
BLOCK = 256
"""Looks that are worked on together where the first advice ends it."""
_ACCURACY, _GUARD = 1 / 3, 1 / 6
"""Parts of alpha, of an arm: a guardrail's other half is that of single hours, which nothing here has."""
_FAILURES, _WORSE, _GOOD = 1 / 4, 1 / 4, 1 / 2
"""The same of a shadow; both a better one and one that differs seldom are good."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_GOLDEN_STEPS = 38


class Rates(NamedTuple):
    """Is a `Rate` at each look."""

    hits: Floats
    total: Floats

    @property
    def misses(self) -> Floats:
        """Returns the others."""
        return self.total - self.hits

    @property
    def share(self) -> Floats:
        """Returns the share of hits, 0 where there is nothing yet."""
        return self.hits / np.maximum(self.total, 1)

    def at(self, looks: Any) -> "Rates":
        """Returns those of some looks."""
        return Rates(self.hits[looks], self.total[looks])


@dataclass(frozen=True, slots=True)
class Track:
    """Is the `Facts` at each look."""

    looks: int
    assigned: tuple[Floats, Floats]
    correct: tuple[Rates, Rates]
    slow: tuple[Rates, Rates]
    failed: tuple[Rates, Rates]
    pairs: tuple[Floats, Floats, Floats]
    disagreement: Rates
    shadow: bool = False

    def facts(self, look: int) -> Facts:
        """Returns what is known at one look, from 0."""

        def rate(rates: Rates) -> evalues.Rate:
            return evalues.Rate(int(rates.hits[look]), int(rates.total[look]))

        return Facts(
            assigned=(int(self.assigned[0][look]), int(self.assigned[1][look])),
            correct=(rate(self.correct[0]), rate(self.correct[1])),
            slow=(rate(self.slow[0]), rate(self.slow[1])),
            failed=(rate(self.failed[0]), rate(self.failed[1])),
            pairs=evalues.Pairs(*(int(each[look]) for each in self.pairs)),
            disagreement=rate(self.disagreement),
            shadow=self.shadow,
        )


@dataclass(slots=True)
class Firsts:
    """Is the look, from 0, at which each advice was first given; infinite where it never was."""

    roll_back: float = math.inf
    promote: float = math.inf
    repair: float = math.inf


@dataclass(slots=True)
class Judge:
    """Finds when what was first advised."""

    rules: Rules = field(default_factory=Rules)

    def firsts(self, track: Track, until: str = "") -> Firsts:
        """Returns when each advice was first given, of all looks or until one of the advices is known."""
        firsts = Firsts()
        size = BLOCK if until else track.looks
        for begin in range(0, track.looks, size):
            block = part(track, slice(begin, begin + size))
            repair = self._mismatched(*block.assigned)
            bad = self._bad(block) & ~repair
            good = self._promoted(block, ~repair & ~bad, known=firsts.promote < math.inf)
            for name, flags in (("repair", repair), ("roll_back", bad), ("promote", good)):
                if flags.any():
                    setattr(firsts, name, min(getattr(firsts, name), begin + int(flags.argmax())))
            if until and getattr(firsts, until) < math.inf:
                break
        return firsts

    def _mismatched(self, before: Floats, after: Floats) -> Flags:
        weights = np.array(self.rules.weights) / sum(self.rules.weights)
        rates = Rates(after, before + after)
        return rate_refuted(rates, float(weights[1]), self.rules.mismatch_limit)

    def _bad(self, track: Track) -> Flags:
        rules = self.rules
        if track.shadow:
            wins, losses, ties = track.pairs
            bad = self._beyond(track.failed, rules.failed_margin, 1, _FAILURES)
            return bad | self._ahead((losses, wins, ties), rules.accuracy_margin, _WORSE)
        bad = self._beyond(track.slow, rules.slow_margin, 1, _GUARD)
        bad |= self._beyond(track.failed, rules.failed_margin, 1, _GUARD)
        return bad | self._beyond(track.correct, -rules.accuracy_margin, -1, _ACCURACY)

    def _promoted(self, track: Track, open_: Flags, *, known: bool) -> Flags:
        """Says where it is promoted, of the looks that are open; of none if it is known to have been."""
        if known:
            return np.zeros(track.looks, bool)
        null = -self.rules.accuracy_margin if "no worse" in self.rules.promote else 0.0
        if track.shadow:
            return self._good_shadow(track, null) & open_
        uneven = self._mismatched(track.correct[0].total, track.correct[1].total)
        looks = np.flatnonzero(self._beyond(track.correct, null, 1, _ACCURACY) & open_ & ~uneven)
        block = part(track, looks)
        guarded = self._beyond(block.slow, self.rules.slow_margin, -1, _GUARD)
        guarded &= self._beyond(block.failed, self.rules.failed_margin, -1, _GUARD)
        flags = np.zeros(track.looks, bool)
        flags[looks[guarded]] = True
        return flags

    def _good_shadow(self, track: Track, null: float) -> Flags:
        good = self._ahead(track.pairs, null, _GOOD)
        if null < 0:
            low = track.disagreement.share <= -null
            good |= low & rate_refuted(track.disagreement, -null, self._limit(_GOOD))
        return good

    def _beyond(self, rates: tuple[Rates, Rates], null: float, sign: int, part: float) -> Flags:
        """Says where the candidate's rate is surely above (1) or below (-1) the control's and the null."""
        before, after = rates
        flags = (after.share - before.share - null) * sign > 0
        looks = np.flatnonzero(flags)
        limit = self._limit(part)
        flags[looks] = refuted(before.at(looks), after.at(looks), null, self.rules.ratio, limit)
        return flags

    def _ahead(self, pairs: tuple[Floats, Floats, Floats], null: float, part: float) -> Flags:
        """Says where the share of wins less that of losses is surely above the null."""
        wins, losses, ties = pairs
        flags = wins - losses > null * (wins + losses + ties)
        looks = np.flatnonzero(flags)
        flags[looks] = paired_log_e((wins[looks], losses[looks], ties[looks]), null) >= self._limit(part)
        return flags

    def _limit(self, part: float) -> float:
        return math.log(1 / (self.rules.candidate_alpha * part))


def part(track: Track, looks: Any) -> Track:
    """Returns what is known at some looks."""

    def both(rates: tuple[Rates, Rates]) -> tuple[Rates, Rates]:
        return rates[0].at(looks), rates[1].at(looks)

    wins, losses, ties = (each[looks] for each in track.pairs)
    assigned = track.assigned[0][looks], track.assigned[1][looks]
    return Track(
        len(wins),
        assigned,
        both(track.correct),
        both(track.slow),
        both(track.failed),
        (wins, losses, ties),
        track.disagreement.at(looks),
        track.shadow,
    )


def rate_log_e(rates: Rates, null: float) -> Floats:
    """Returns `evalues.rate_log_e` at each look."""
    return _log_mean([_centred(rates, np.full(len(rates.hits), null), strength) for strength in STRENGTHS])


def rate_refuted(rates: Rates, null: float, limit: float) -> Flags:
    """Says where the e-value against a rate reaches a limit."""
    flags = _likelihood(rates, rates.share) - _likelihood(rates, np.full(len(rates.hits), null)) >= limit
    looks = np.flatnonzero(flags)
    flags[looks] = rate_log_e(rates.at(looks), null) >= limit
    return flags


def paired_log_e(pairs: tuple[Floats, Floats, Floats], null: float) -> Floats:
    """Returns `evalues.paired_log_e` at each look."""
    won = []
    for stake in STAKES:
        gains = (1 + stake * (1 - null), 1 - stake * (1 + null), 1 - stake * null)
        if min(gains) > 0:
            won.append(sum(count * math.log(gain) for count, gain in zip(pairs, gains, strict=True)))
        else:
            won.append(np.full(len(pairs[0]), -np.inf))
    return _log_mean(won)


def difference_log_e(before: Rates, after: Rates, null: float, ratio: float) -> Floats:
    """Returns `evalues.difference_log_e` at each look."""
    low = np.full(len(before.hits), max(0.0, -null))
    high = np.full(len(before.hits), min(1.0, 1.0 - null))
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = _at(before, after, null, ratio, left), _at(before, after, null, ratio, right)
    for _ in range(_GOLDEN_STEPS):
        lower = at_left < at_right
        low, high = np.where(lower, low, left), np.where(lower, right, high)
        new = np.where(lower, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        at_new = _at(before, after, null, ratio, new)
        left, right = np.where(lower, new, right), np.where(lower, left, new)
        at_left, at_right = np.where(lower, at_new, at_right), np.where(lower, at_left, at_new)
    return np.minimum(at_left, at_right)


def refuted(before: Rates, after: Rates, null: float, ratio: float, limit: float) -> Flags:
    """Says where the e-value against a difference reaches a limit."""
    low, high = max(0.0, -null), min(1.0, 1.0 - null)
    total = np.maximum(before.total + after.total, 1)
    guess = np.clip((before.hits + after.hits - null * after.total) / total, low + 1e-9, high - 1e-9)
    likely = _likelihood(before, before.share) + _likelihood(after, after.share)
    flags = likely - _likelihood(before, guess) - _likelihood(after, guess + null) >= limit
    looks = np.flatnonzero(flags)
    flags[looks] = _at(before.at(looks), after.at(looks), null, ratio, guess[looks]) >= limit
    looks = np.flatnonzero(flags)
    if looks.size:
        flags[looks] = difference_log_e(before.at(looks), after.at(looks), null, ratio) >= limit
    return flags


def _at(before: Rates, after: Rates, null: float, ratio: float, rate: Floats) -> Floats:
    return _log_mean(
        [
            _centred(before, rate, strength * ratio) + _centred(after, np.clip(rate + null, 0, 1), strength)
            for strength in STRENGTHS
        ]
    )


def _centred(rates: Rates, null: Floats, strength: float) -> Floats:
    start, others = strength * null, strength * (1 - null)
    mixed = _rise(start, rates.hits) + _rise(others, rates.misses)
    mixed = mixed + gammaln(strength) - gammaln(strength + rates.total) - _likelihood(rates, null)
    return np.asarray(mixed, np.float64)


def _rise(start: Floats, count: Floats) -> Floats:
    return np.where(count > 0, gammaln(np.maximum(start, 1e-300) + count) - gammaln(np.maximum(start, 1e-300)), 0.0)


def _likelihood(rates: Rates, share: Floats) -> Floats:
    likely: Floats = xlogy(rates.hits, share) + xlogy(rates.misses, 1 - share)
    return likely


def _log_mean(logs: list[Any]) -> Floats:
    mean: Floats = np.logaddexp.reduce(np.stack(logs), axis=0) - math.log(len(logs))
    return mean
