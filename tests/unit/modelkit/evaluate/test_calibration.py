"""Calibration, held against values that were worked out by hand."""

import math

import numpy as np
import pytest

from modelkit.evaluate.calibration import Bin, bins, expected_error, fit_temperature, log_probabilities, mean_nll
from modelkit.evaluate.findings import calibration_of
from modelkit.gate import Logits


def _logits(*sure: float) -> Logits:
    """Returns logits of two classes in which the first one has these probabilities."""
    return np.array([[math.log(each / (1 - each)), 0.0] for each in sure], np.float32)


def test_error_by_hand() -> None:
    """Three answers at 0.9, two right: 0.2333 off; one at 0.6, wrong: 0.6 off; weighted 0.325."""
    answers, labels = _logits(0.9, 0.9, 0.9, 0.6), np.array([0, 0, 1, 1])
    found = bins(answers, labels)
    assert [(1, 0.0), (3, pytest.approx(2 / 3))] == [(each.pictures, each.accuracy) for each in found]
    assert (3 * (0.9 - 2 / 3) + 0.6) / 4 == pytest.approx(expected_error(found), abs=1e-6)


def test_error_of_the_perfectly_calibrated_is_nothing() -> None:
    """Right as often as sure."""
    assert 0 == expected_error([Bin(10, 0.7, 0.7), Bin(4, 0.5, 0.5)])


def test_a_bin_has_its_upper_edge() -> None:
    """Certainty is in the last bin; 0.6 exactly, in floating point or not, is one side of an edge for all."""
    assert 1.0 == bins(np.array([[100.0, 0.0]], np.float32), np.array([0]))[0].confidence
    assert 1 == len(bins(_logits(0.61, 0.65), np.array([0, 0])))
    assert 2 == len(bins(_logits(0.61, 0.68), np.array([0, 0])))


def test_likelihood_by_hand() -> None:
    """Temperature 2 takes the square root of the odds: 9 become 3."""
    answers, labels = _logits(0.9), np.array([0])
    assert -math.log(0.9) == pytest.approx(mean_nll(answers, labels), abs=1e-6)
    assert -math.log(0.75) == pytest.approx(mean_nll(answers, labels, 2.0), abs=1e-6)


def test_large_logits_do_not_overflow() -> None:
    """Logarithms stay finite."""
    assert np.isfinite(log_probabilities(np.array([[1e4, -1e4]], np.float32))).all()


def test_temperature_by_hand() -> None:
    """Odds of 27 that are right three times of four should be odds of 3: the cube root, temperature 3."""
    answers, labels = _logits(*[27 / 28] * 4), np.array([0, 0, 0, 1])
    assert 3.0 == pytest.approx(fit_temperature(answers, labels), rel=1e-5)


def test_temperature_of_scaled_logits_scales() -> None:
    """Twice the logits need twice the temperature, and it is the likeliest one around."""
    rng = np.random.default_rng(0)
    answers = rng.normal(size=(200, 5)).astype(np.float32)
    labels = np.where(rng.random(200) < 0.6, answers.argmax(axis=1), rng.integers(0, 5, 200))
    fitted = fit_temperature(answers, labels)
    assert fitted is not None
    assert 2 * fitted == pytest.approx(fit_temperature(2 * answers, labels), rel=1e-4)
    best = mean_nll(answers, labels, fitted)
    assert best < min(mean_nll(answers, labels, fitted * factor) for factor in (0.95, 1.05))


def test_no_temperature_where_all_is_right_or_nothing_is_known() -> None:
    """There the likelihood has no maximum, and the logits stay what they are."""
    assert fit_temperature(_logits(0.9, 0.6), np.array([0, 0])) is None
    assert fit_temperature(_logits(0.9, 0.6), np.array([1, 1])) is None


def test_temperature_is_fitted_on_val_and_judged_on_test() -> None:
    """Figures before and after; without val nothing changes."""
    answers, labels = _logits(*[27 / 28] * 4), np.array([0, 0, 0, 1])
    found = calibration_of((answers, labels), (answers, labels))
    assert (3.0, "val") == (found.temperature, found.fitted_on)
    assert (27 / 28 - 0.75, 0) == pytest.approx(found.ece, abs=1e-5)
    without = calibration_of((answers, labels), None)
    assert (1.0, "", "the data set has no split val") == (without.temperature, without.fitted_on, without.why_not)
    assert without.ece[0] == without.ece[1]
