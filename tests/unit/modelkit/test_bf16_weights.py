"""Rounding floats to what bf16 holds."""

import numpy as np
import pytest

from modelkit.bf16_weights import bf16


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        (1.0, 1.0),
        (-1.00390625, -1.0),  # halfway between two, of which the even one is taken
        (1.01171875, 1.015625),  # the same, upwards
        (1.0040, 1.0078125),
        (3.3e38, 3.3e38),
        (0.0, 0.0),
        (-0.1, -0.10009765625),
    ],
)
def test_the_nearest_is_taken(value: float, nearest: float) -> None:
    """Seven bits remain of the fraction, and the even one of two as near."""
    found = bf16(np.array([value], np.float32))
    assert np.float32 == found.dtype
    assert nearest == pytest.approx(float(found[0]), rel=5e-3 if value > 1e38 else 0)
    assert np.array_equal(found, bf16(found))
