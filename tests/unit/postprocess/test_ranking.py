"""Ranking against a naive reference that sorts everything."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.postprocess.ranking import Ranked, rank, softmax

# Few distinct values, so that ties are the rule.
LOGITS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(2, 9)),
    elements=st.sampled_from([-3.0, -0.5, 0.0, 0.25, 0.5, 2.0, 40.0]),
)
TEMPERATURES = st.sampled_from([0.25, 1.0, 1.5, 8.0])


def _reference(row: list[float], temperature: float, top_k: int, min_score: float) -> list[Ranked]:
    scaled = [value / temperature for value in row]
    powers = [math.exp(value - max(scaled)) for value in scaled]
    scores = [power / math.fsum(powers) for power in powers]
    order = sorted(range(len(row)), key=lambda index: (-row[index], index))
    return [Ranked(index, scores[index]) for index in order[:top_k] if scores[index] >= min_score]


@given(LOGITS, TEMPERATURES, st.integers(1, 12), st.sampled_from([0.0, 0.011, 0.13, 0.9, 1.0]))
def test_ranks_like_the_reference(
    logits: npt.NDArray[np.float32], temperature: float, top_k: int, min_score: float
) -> None:
    """The same classes in the same order with the same scores, ties and thresholds included."""
    got = rank(logits, temperature, [top_k] * len(logits), [min_score] * len(logits))
    expected = [_reference(row, temperature, top_k, min_score) for row in logits.tolist()]

    # A score within rounding of the threshold may stand on either side of it.
    for row, wanted in zip(got, expected, strict=True):
        longer, shorter = sorted((row, wanted), key=len, reverse=True)
        assert all(abs(item.score - min_score) < 1e-9 for item in longer[len(shorter) :])
        assert [item.index for item in wanted[: len(shorter)]] == [item.index for item in row[: len(shorter)]]
        np.testing.assert_allclose(
            [item.score for item in row[: len(shorter)]], [item.score for item in wanted[: len(shorter)]], rtol=1e-9
        )


@given(hnp.arrays(np.float32, (3, 7), elements=st.floats(-(2.0**100), 2.0**100, width=32)), TEMPERATURES)
def test_scores_sum_to_one(logits: npt.NDArray[np.float32], temperature: float) -> None:
    """However large the logits, each row is a distribution."""
    scores = softmax(logits, temperature)

    np.testing.assert_allclose(1, scores.sum(axis=1))
    assert ((scores >= 0) & (scores <= 1)).all()


@given(LOGITS, st.floats(-100, 100, width=32))
def test_softmax_ignores_a_common_offset(logits: npt.NDArray[np.float32], offset: float) -> None:
    """Only differences between logits count."""
    moved = logits.astype(np.float64) + offset

    np.testing.assert_allclose(softmax(logits, 1), softmax(moved.astype(np.float32), 1), rtol=1e-3, atol=1e-6)


def test_softmax_leaves_its_input_alone() -> None:
    """The logits, a view of a message, are not written to."""
    logits = np.ones((1, 3), np.float32)
    logits.flags.writeable = False

    np.testing.assert_allclose(1 / 3, softmax(logits, 1))


def test_temperature_flattens() -> None:
    """Logits are divided by the temperature."""
    logits = np.array([[0.0, math.log(4)]], np.float32)

    np.testing.assert_allclose([[1 / 3, 2 / 3]], softmax(logits, 2), rtol=1e-6)


def test_ties_are_ranked_by_index() -> None:
    """Equal scores at the border of the top k go to the lower indices."""
    got = rank(np.zeros((1, 6), np.float32), 1, [3], [0])

    assert [0, 1, 2] == [item.index for item in got[0]]


def test_more_than_there_are_gives_all() -> None:
    """K above the number of classes returns every class."""
    assert 4 == len(rank(np.zeros((1, 4), np.float32), 1, [1000], [0])[0])


def test_every_row_has_its_own_options() -> None:
    """K and the least score are a row's own."""
    logits = np.array([[0, 1, 2], [0, 1, 2], [0, 1, 2]], np.float32)

    assert [1, 3, 0] == [len(row) for row in rank(logits, 1, [1, 3, 3], [0, 0, 1])]


@pytest.mark.parametrize("scale", [-1e38, 1e38])
def test_extreme_logits_do_not_overflow(scale: float) -> None:
    """The largest finite numbers give finite scores."""
    assert np.isfinite(softmax(np.array([[scale, -scale, 0]], np.float32), 0.01)).all()
