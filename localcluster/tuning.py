"""Searches for the best settings, one dimension after another. Pure: what a setting is worth it asks a function.

Throughput is noisy. So a candidate is measured in turn with the best so far, and takes its place only when it is ahead
in every pair and, in the middle one, by more than the margin. What the search ends with has to beat the defaults once
more, in pairs of its own: a winner of many comparisons is a lucky one, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

MARGIN = 0.03
"""Least gain that counts, as a part of the throughput."""
PAIRS = 3
NOISY = 1.2
"""Where the same settings differ by more than this, something else keeps the machine busy."""
FIRST_ESTIMATE = 1.5
"""A duel takes this many times as long as the first measurement, as long as none is known."""

Settings = Mapping[str, int]
"""Values by variable; what is absent has its default."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """Is one variable, and what it can be."""

    variable: str
    values: tuple[int, ...]
    """Ascending; the default is one of them."""
    default: int

    def neighbour(self, settings: Settings, step: int) -> Settings | None:
        """Returns the settings one step further along this dimension; None past its end."""
        place = self.values.index(settings.get(self.variable, self.default)) + step
        if not 0 <= place < len(self.values):
            return None
        others = {name: value for name, value in settings.items() if name != self.variable}
        value = self.values[place]
        return others if value == self.default else {**others, self.variable: value}


@dataclass(frozen=True, slots=True)
class Measured:
    """Is what one measurement found."""

    images_per_s: float
    p50_ms: float


class MeasureError(RuntimeError):
    """Says why settings could not be measured."""


Measure = Callable[[Settings], Measured]
"""Measures settings; raises MeasureError."""


@dataclass(frozen=True, slots=True)
class Duel:
    """Is a comparison of a candidate with the best so far."""

    best: Settings
    candidate: Settings
    pairs: tuple[tuple[Measured, Measured], ...]
    """Best and candidate, measured one right after the other."""
    failure: str = ""
    """Why there is no further pair, when one of them could not be measured."""

    @property
    def ratio(self) -> float:
        """Returns the candidate's throughput over the best's, in the middle pair."""
        return median(_ratio(pair) for pair in self.pairs)

    @property
    def measured(self) -> Measured:
        """Returns what the candidate did, in the middle."""
        found = [candidate for _, candidate in self.pairs]
        return Measured(median(each.images_per_s for each in found), median(each.p50_ms for each in found))

    @property
    def won(self) -> bool:
        """Says whether the candidate is better by more than noise."""
        ahead = len(self.pairs) == PAIRS and all(_ratio(pair) > 1 for pair in self.pairs)
        return not self.failure and ahead and self.ratio > 1 + MARGIN


@dataclass(frozen=True, slots=True)
class Outcome:
    """Is what a search found."""

    defaults: Measured
    duels: tuple[Duel, ...]
    best: Settings
    """Empty: the defaults. What to trust is what is `proven`."""
    final: Duel | None
    """The best of the search against the defaults, once more; None when nothing ever beat them."""
    untried: tuple[str, ...]
    """Variables that were not tried, or not to the end, because the time was up."""

    @property
    def spread(self) -> tuple[float, float]:
        """Returns the least and the most images/s that the defaults did: far apart, the machine was not quiet."""
        duels = self.duels if self.final is None else (*self.duels, self.final)
        again = [best.images_per_s for duel in duels if not duel.best for best, _ in duel.pairs]
        return min([self.defaults.images_per_s, *again]), max([self.defaults.images_per_s, *again])

    @property
    def noisy(self) -> bool:
        """Says whether the machine was too busy to prove anything."""
        least, most = self.spread
        return most > NOISY * least

    @property
    def proven(self) -> Settings:
        """Returns settings that certainly beat the defaults; empty where there are none."""
        return {} if self.noisy else self.best


class Search:
    """Climbs along each dimension in turn, upwards and, where that does not help, downwards."""

    def __init__(self, measure: Measure, seconds: float, clock: Callable[[], float]) -> None:
        """Prepares a search.

        Args:
            measure: measures settings.
            seconds: of the clock, in which to end; what has begun is finished.
            clock: tells the time.
        """
        self._measure = measure
        self._clock = clock
        self._end = clock() + seconds
        self._duel_s = 0.0
        self._best: Settings = {}
        self._duels: list[Duel] = []
        self._untried: list[str] = []

    def run(self, dimensions: Sequence[Dimension]) -> Outcome:
        """Searches the dimensions in their order. What cannot be measured wins nothing.

        Raises:
            MeasureError: the defaults cannot be measured.
        """
        start = self._clock()
        defaults = self._measure({})
        self._duel_s = FIRST_ESTIMATE * (self._clock() - start)
        for dimension in dimensions:
            self._climb(dimension)
        final = self._duel({}, self._best, patient=True) if self._best else None
        best = self._best if final is not None and final.won else {}
        return Outcome(defaults, tuple(self._duels), best, final, tuple(self._untried))

    def _climb(self, dimension: Dimension) -> None:
        before = self._best
        for step in (1, -1):
            while self._advance(dimension, step):
                pass
            if self._best != before:
                return

    def _advance(self, dimension: Dimension, step: int) -> bool:
        candidate = dimension.neighbour(self._best, step)
        if candidate is None:
            return False
        if not self._in_time():
            if dimension.variable not in self._untried:
                self._untried.append(dimension.variable)
            return False
        duel = self._duel(self._best, candidate)
        self._duels.append(duel)
        if duel.won:
            self._best = candidate
        return duel.won

    def _in_time(self) -> bool:
        """Says whether there is time for another duel and, if it will be needed, for the final one."""
        needed_s = self._duel_s * (2 if self._best else 1)
        return self._clock() + needed_s <= self._end

    def _duel(self, best: Settings, candidate: Settings, *, patient: bool = False) -> Duel:
        start = self._clock()
        pairs: list[tuple[Measured, Measured]] = []
        failure = ""
        try:
            while len(pairs) < PAIRS and (patient or not pairs or _ratio(pairs[-1]) > 1):
                pairs.append(self._pair(best, candidate, swapped=len(pairs) % 2 == 1))
        except MeasureError as error:
            failure = str(error)
        self._duel_s = max(self._duel_s, self._clock() - start)
        return Duel(best, candidate, tuple(pairs), failure)

    def _pair(self, best: Settings, candidate: Settings, *, swapped: bool) -> tuple[Measured, Measured]:
        if swapped:  # a machine that slows down or speeds up favours neither
            later = self._measure(candidate)
            return self._measure(best), later
        return self._measure(best), self._measure(candidate)


def _ratio(pair: tuple[Measured, Measured]) -> float:
    best, candidate = pair
    return candidate.images_per_s / best.images_per_s
