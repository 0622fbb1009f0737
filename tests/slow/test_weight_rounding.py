"""Rounding weights together changes sums less than the nearest integers do. Needs the extra `modelkit`."""

import numpy as np
import pytest

from modelkit.weight_rounding import WIDEST, round_together


def _lost(
    weights: "np.typing.NDArray[np.float64]",
    rounded: "np.typing.NDArray[np.float64]",
    inputs: "np.typing.NDArray[np.float64]",
) -> float:
    """Returns the mean square of what rounding takes from the sums."""
    errors = weights - rounded
    return float(np.mean(np.square(np.einsum("goi,gni->gon", errors, inputs))))


@pytest.mark.parametrize(("groups", "outputs", "count"), [(1, 16, 48), (12, 1, 9)], ids=["dense", "depthwise"])
def test_errors_cancel(groups: int, outputs: int, count: int) -> None:
    """With inputs that go together, sums lose less than half of what the nearest integers lose."""
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((groups, 400, 3)) @ rng.standard_normal((groups, 3, count))
    inputs = shared + 0.2 * rng.standard_normal((groups, 400, count))
    weights = rng.standard_normal((groups, outputs, count))
    scales = np.abs(weights).max(axis=2) / WIDEST * 8  # coarse, to see something
    together = round_together(weights, scales, inputs.swapaxes(1, 2) @ inputs / 400)
    nearest = np.rint(weights / scales[..., None])
    lost, before = (_lost(weights, each * scales[..., None], inputs) for each in (together, nearest))
    assert lost < 0.5 * before


def test_independent_inputs_want_the_nearest() -> None:
    """Where no input goes with another, nothing can be made up for: every weight is rounded to the nearest."""
    rng = np.random.default_rng(2)
    weights = rng.standard_normal((1, 4, 30))
    scales = np.full((1, 4), 0.05)
    together = round_together(weights, scales, np.diag(rng.uniform(0.1, 2, 30))[None])
    np.testing.assert_array_equal(np.clip(np.rint(weights / 0.05), -WIDEST, WIDEST), together)


def test_weights_stay_within_seven_bits() -> None:
    """What others lost is taken over only as far as the bits reach."""
    weights = np.full((1, 1, 8), 64.4)
    together = round_together(weights, np.ones((1, 1)), np.full((1, 8, 8), 1.0))
    assert WIDEST == together.max()


def test_inputs_that_are_never_there_change_nothing() -> None:
    """A dead channel has no moments at all; its weights are rounded to the nearest, and nothing is divided by 0."""
    weights = np.array([[[0.4, 1.6, -2.2]]])
    assert [[[0, 2, -2]]] == round_together(weights, np.ones((1, 1)), np.zeros((1, 3, 3))).tolist()
