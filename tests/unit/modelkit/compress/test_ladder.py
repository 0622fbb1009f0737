"""Choosing among compressed networks."""

from modelkit.compress.ladder import Candidate, Wanted, choose, front

GIVEN = Candidate("given", "as given", "fp32", 0.930, 1.0, 400, 10, "")
HALF = Candidate("half", "pruned by half", "fp32", 0.927, 0.6, 200, 5, "")
SMALL = Candidate("half-int8", "pruned by half", "INT8", 0.925, 0.4, 60, 5, "")
BAD = Candidate("tenth", "pruned to a tenth", "fp32", 0.85, 0.5, 40, 1, "")
ALL = (GIVEN, HALF, SMALL, BAD)


def test_the_front_holds_those_that_none_beats() -> None:
    """The one that is slower and worse than another is not on it; by size it is."""
    assert [SMALL, HALF, GIVEN] == front(ALL, "latency_ms")
    assert [BAD, SMALL, HALF, GIVEN] == front(ALL, "kilobytes")


def test_a_bound_on_the_drop_gives_the_fastest() -> None:
    """The bound counts in points below the network that was given; exactly on it is within it."""
    assert "half-int8" == choose(ALL, Wanted(max_drop=0.5)).name
    assert "half" == choose(ALL, Wanted(max_drop=0.4)).name
    assert "given" == choose(ALL, Wanted(max_drop=0.0)).name


def test_a_bound_on_the_latency_gives_the_most_accurate() -> None:
    """And the sentence says of how many."""
    choice = choose(ALL, Wanted(target_latency_ms=0.7))
    assert "half" == choice.name
    assert choice.why.startswith("the most accurate of the 3 that take at most 0.7 ms")


def test_both_bounds_hold() -> None:
    """Where no candidate holds both, none is taken and the nearest is told."""
    assert "half-int8" == choose(ALL, Wanted(max_drop=1, target_latency_ms=0.5)).name
    choice = choose(ALL, Wanted(max_drop=0.1, target_latency_ms=0.7))
    assert choice.name is None
    assert "the nearest is half with 0.600 ms of 1.000" in choice.why
