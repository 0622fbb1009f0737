"""The search: it finds a planted optimum, is not fooled by noise, and keeps to its time."""

import random
from collections.abc import Callable, Mapping

import pytest

from localcluster.tuning import PAIRS, Dimension, Duel, Measured, MeasureError, Outcome, Search

pytestmark = pytest.mark.unit

WIDE = Dimension("WIDE", (1, 2, 4, 8, 16), default=2)
DEEP = Dimension("DEEP", (1, 2, 3), default=3)
DIMENSIONS = (WIDE, DEEP)


class Machine:
    """Measures by a formula, with noise, on a clock of its own."""

    def __init__(self, images_per_s: Callable[[int, int], float], noise: float = 0.0, seed: int = 0) -> None:
        self.now = 0.0
        self.measured: list[Mapping[str, int]] = []
        self._images_per_s = images_per_s
        self._noise = noise
        self._random = random.Random(seed)  # noqa: S311 (noise)

    def clock(self) -> float:
        """Tells how long the measurements took."""
        return self.now

    def measure(self, settings: Mapping[str, int]) -> Measured:
        """Takes a second."""
        self.now += 1
        self.measured.append(settings)
        value = self._images_per_s(settings.get("WIDE", 2), settings.get("DEEP", 3))
        value *= 1 + self._random.gauss(0, self._noise)
        return Measured(value, 16_000 / value)

    def search(self, seconds: float = 1000) -> Outcome:
        """Searches."""
        return Search(self.measure, seconds, self.clock).run(DIMENSIONS)


def _peak(wide: int, deep: int) -> float:
    """Is best at 8 and 1: two steps up from one default, two down from the other."""
    return 200 - 10 * abs(wide - 8) - 20 * (deep - 1)


def test_a_planted_optimum_is_found() -> None:
    """The search climbs up one dimension and down the other; what it ends with has beaten the defaults once more."""
    outcome = Machine(_peak).search()
    assert {"WIDE": 8, "DEEP": 1} == outcome.best
    assert outcome.final is not None
    assert ({}, PAIRS) == (outcome.final.best, len(outcome.final.pairs))
    assert 2 == round(outcome.final.ratio, 2)


def test_an_optimum_is_found_through_noise() -> None:
    """Steps of ten per cent and more are seen through noise of two, whatever the luck."""
    found = [Machine(_peak, noise=0.02, seed=seed).search().best for seed in range(20)]
    assert [{"WIDE": 8, "DEEP": 1}] * 20 == found


def test_noise_alone_seldom_beats_the_defaults() -> None:
    """Where no setting matters, five per cent of noise leads away from the defaults in few of a hundred searches."""
    away = [seed for seed in range(100) if Machine(lambda *_: 200, noise=0.05, seed=seed).search().best]
    assert 10 > len(away)


def test_a_gain_within_the_noise_does_not_count() -> None:
    """Three per cent are no reason to leave the defaults."""
    outcome = Machine(lambda wide, _deep: 206 if wide == 4 else 200).search()
    assert ({}, None) == (outcome.best, outcome.final)


def test_a_candidate_that_is_behind_gets_no_second_pair() -> None:
    """Time goes to candidates that may win."""
    outcome = Machine(lambda wide, deep: 200 - abs(wide - 2) - abs(deep - 3)).search()
    assert {1} == {len(duel.pairs) for duel in outcome.duels}


def test_a_lucky_winner_loses_when_it_is_measured_again() -> None:
    """The defaults are best when the winner of the search does not beat them once more, and the outcome tells."""
    machine = Machine(lambda wide, _deep: 200)
    machine._images_per_s = lambda wide, _deep: 300 if wide == 4 and len(machine.measured) < 8 else 200
    outcome = machine.search()
    assert {} == outcome.best
    assert outcome.final is not None
    assert {"WIDE": 4} == outcome.final.candidate


def test_what_cannot_be_measured_wins_nothing() -> None:
    """A candidate that fails, at once or after good pairs, is left with the reason; the search goes on."""

    def fails(wide: int, deep: int) -> float:
        if wide == 1 or (wide == 4 and len(machine.measured) > 4):
            raise MeasureError(f"WIDE={wide} is broken")
        return 300 - 50 * deep if wide == 2 else 900

    machine = Machine(fails)
    outcome = machine.search()
    assert {"DEEP": 1} == outcome.best
    assert [(2, "WIDE=4 is broken"), (0, "WIDE=1 is broken"), (3, ""), (3, "")] == [
        (len(duel.pairs), duel.failure) for duel in outcome.duels
    ]


def test_without_the_defaults_there_is_no_search() -> None:
    """What cannot be measured at all is the caller's to tell."""

    def fails(_wide: int, _deep: int) -> float:
        raise MeasureError("all is broken")

    with pytest.raises(MeasureError, match="all is broken"):
        Machine(fails).search()


def test_the_two_of_a_pair_take_turns_in_going_first() -> None:
    """A machine that slows down favours neither of two settings that are measured in turn."""
    machine = Machine(_peak)
    machine.search()
    up = {"WIDE": 4}
    assert [{}, {}, up, up, {}, {}, up] == machine.measured[:7]


def test_the_search_ends_in_time_and_names_what_it_left_out() -> None:
    """Whatever begins is over by the end of the time, the final too; what is left out is named."""
    machine = Machine(_peak)
    outcome = machine.search(seconds=20)
    assert 20 >= machine.now
    assert ("DEEP",) == outcome.untried[-1:]
    assert outcome.final is not None


def test_without_time_only_the_defaults_are_measured() -> None:
    """A second is enough for one measurement."""
    machine = Machine(_peak)
    outcome = machine.search(seconds=1)
    assert [{}] == machine.measured
    assert ((), {}, ("WIDE", "DEEP")) == (outcome.duels, outcome.best, outcome.untried)


def test_a_setting_back_at_its_default_is_left_out() -> None:
    """Settings hold what differs from the defaults, and nothing else."""
    assert {"DEEP": 1} == WIDE.neighbour({"WIDE": 4, "DEEP": 1}, -1)
    assert (None, None) == (DEEP.neighbour({}, 1), WIDE.neighbour({"WIDE": 1}, -1))


def test_the_spread_is_of_the_defaults_alone() -> None:
    """The least and the most that the defaults did, wherever they were measured, tell whether the machine was quiet."""
    early = Duel({}, {"WIDE": 4}, ((Measured(90, 1), Measured(500, 1)),))
    later = Duel({"WIDE": 4}, {"WIDE": 8}, ((Measured(600, 1), Measured(10, 1)),))
    final = Duel({}, {"WIDE": 4}, ((Measured(120, 1), Measured(400, 1)),))
    assert (90, 120) == Outcome(Measured(100, 1), (early, later), {"WIDE": 4}, final, ()).spread
    assert (100, 100) == Outcome(Measured(100, 1), (), {}, None, ()).spread


@pytest.mark.parametrize(("most", "proven"), [(119, {"WIDE": 4}), (121, {})])
def test_a_busy_machine_proves_nothing(most: float, proven: dict[str, int]) -> None:
    """Where the defaults alone differ by more than a fifth, even a winner is not proven."""
    pairs = tuple((Measured(rate, 1), Measured(2 * rate, 1)) for rate in (100, most, 110))
    final = Duel({}, {"WIDE": 4}, pairs)
    outcome = Outcome(Measured(100, 1), (final,), {"WIDE": 4}, final, ())
    assert (not proven, proven) == (outcome.noisy, outcome.proven)


def test_the_middle_of_the_pairs_counts() -> None:
    """One outlier moves neither the ratio nor what a candidate measured; but who is behind once has not won."""
    pairs = tuple((Measured(100, 10), Measured(rate, p50)) for rate, p50 in ((90, 11), (110, 9), (300, 1)))
    duel = Duel({}, {"WIDE": 4}, pairs)
    assert (1.1, Measured(110, 9), False) == (duel.ratio, duel.measured, duel.won)
