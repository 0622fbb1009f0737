"""Learning rates over a run."""

import pytest

from modelkit.train.recipe import Schedule
from modelkit.train.schedule import factor

STEPS = 100


def _factors(**options: object) -> list[float]:
    schedule = Schedule.model_validate(options)
    return [factor(schedule, step, STEPS) for step in range(STEPS)]


@pytest.mark.parametrize("kind", ["constant", "cosine", "one_cycle", "step"])
def test_warm_up_rises_to_the_peak(kind: str) -> None:
    """In the warm-up each step is above the last, and the peak comes right after it, once."""
    factors = _factors(kind=kind, warm_up=0.1)
    assert sorted(set(factors[:10])) == factors[:10]
    assert pytest.approx(1.0) == max(factors) == factors[10]


@pytest.mark.parametrize(("kind", "end"), [("cosine", 0.01), ("one_cycle", 0.0001)])
def test_cosines_fall_to_their_floor(kind: str, end: float) -> None:
    """Without warm-up the factor falls from 1, by half in the middle, to almost nothing."""
    factors = _factors(kind=kind)
    assert sorted(factors, reverse=True) == factors
    assert pytest.approx((1, (1 + end) / 2), abs=1e-9) == (factors[0], factors[50])
    assert pytest.approx(end, abs=0.001) == factors[-1]


def test_steps_fall_at_milestones() -> None:
    """The factor is multiplied at each milestone."""
    factors = _factors(kind="step", milestones=(0.5, 0.75), factor=0.1)
    assert pytest.approx([1, 1, 0.1, 0.1, 0.01]) == [factors[step] for step in (0, 49, 50, 74, 75)]
