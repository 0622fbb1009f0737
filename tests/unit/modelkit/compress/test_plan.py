"""How many channels each layer keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkit.compress.plan import PlanError, Sensitivity, cheapest_plan, plan_within, ratio_within, rounded

TOUGH = Sensitivity(64, (0.25, 0.5, 0.75), (0.9, 0.9, 0.88))
WEAK = Sensitivity(64, (0.25, 0.5, 0.75), (0.8, 0.5, 0.2))
LAYERS = {"tough": TOUGH, "weak": WEAK}


def test_a_ratio_lies_between_those_that_were_tried() -> None:
    """Nothing lost allows what was free; half of a loss allows half of the way; no more than the largest is taken."""
    assert pytest.approx(0.5, abs=1e-6) == ratio_within(TOUGH, 0.9, 1e-8)
    assert pytest.approx(0.125, abs=1e-6) == ratio_within(WEAK, 0.9, 0.05)
    assert pytest.approx(0.75) == ratio_within(WEAK, 0.9, 1.0)


def test_a_lucky_measurement_counts_no_better_than_a_smaller_loss() -> None:
    """Three quarters that seem to cost less than a half are held to cost what the half costs."""
    lucky = Sensitivity(64, (0.5, 0.75), (0.7, 0.85))
    assert ratio_within(lucky, 0.9, 0.1) < 0.5


@given(st.integers(1, 512), st.floats(0, 1), st.integers(1, 32))
def test_rounding_keeps_blocks(channels: int, ratio: float, round_to: int) -> None:
    """What is left is a whole number of blocks or all, never nothing."""
    left = rounded(channels, ratio, round_to)
    assert 1 <= left <= channels
    assert left % round_to == 0 or left == channels


def test_the_tough_layers_lose_most() -> None:
    """To get down to 80 of 128 channels, the layer that the network hardly needs gives nearly all of them."""
    plan, drop = cheapest_plan(LAYERS, 0.9, 8, lambda plan: sum(plan.values()) <= 80)
    assert {"tough": 16, "weak": 64} == plan
    assert drop < 0.1


def test_a_plan_is_the_same_drop_for_all() -> None:
    """Each layer goes as far as its own curve allows."""
    assert {"tough": 16, "weak": 48} == plan_within(LAYERS, 0.9, 0.1, 8)


def test_an_impossible_target_is_refused() -> None:
    """The sentence says what bounds the plan."""
    with pytest.raises(PlanError, match=r"raise it"):
        cheapest_plan(LAYERS, 0.9, 8, lambda plan: sum(plan.values()) < 32)
