"""Whether a model is as sure as it is right, and the temperature that makes it so: pure functions of logits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelkit.evaluate.figures import Labels
from modelkit.gate import Logits

BINS = 15
_BOUNDS = (-12.0, 12.0)
"""Of the temperature's natural logarithm, far beyond what any network needs."""
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Bin:
    """Is the pictures that were answered about equally sure."""

    pictures: int
    confidence: float
    """Mean probability of the first class."""
    accuracy: float
    """Share whose first class is right."""


def log_probabilities(answers: Logits, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Returns the logarithms of the softmax of the logits, divided by the temperature: `[n, classes]`."""
    scaled = answers.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))


def mean_nll(answers: Logits, labels: Labels, temperature: float = 1.0) -> float:
    """Returns the mean negative logarithm of the true class's probability, nats."""
    return float(-log_probabilities(answers, temperature)[np.arange(len(labels)), labels].mean())


def bins(answers: Logits, labels: Labels, temperature: float = 1.0) -> list[Bin]:
    """Sorts pictures by the probability of their first class into 15 bins of equal width, each without its lower edge.

    Empty bins are left out.
    """
    sure = np.exp(log_probabilities(answers, temperature).max(axis=1))
    right = answers.argmax(axis=1) == labels
    which = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    chosen = [which == each for each in range(BINS)]
    return [Bin(int(rows.sum()), float(sure[rows].mean()), float(right[rows].mean())) for rows in chosen if rows.any()]


def expected_error(found: list[Bin]) -> float:
    """Returns the expected calibration error: the mean distance of confidence and accuracy, weighted by pictures."""
    total = sum(each.pictures for each in found)
    return sum(each.pictures * abs(each.confidence - each.accuracy) for each in found) / total


def fit_temperature(answers: Logits, labels: Labels) -> float | None:
    """Returns the temperature under which the true classes are most likely.

    The mean likelihood has one maximum; its place is found by halving, on the slope. None where there is none: every
    answer is right, so that any lower temperature is likelier, or the answers are no better than chance.
    """
    low, high = _BOUNDS
    if _slope(answers, labels, np.exp(low)) <= 0 or _slope(answers, labels, np.exp(high)) >= 0:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(answers, labels, np.exp(middle)) > 0 else (low, middle)
    return float(np.exp((low + high) / 2))


def _slope(answers: Logits, labels: Labels, temperature: float) -> float:
    """Returns the mean expected logit less that of the true class: positive where a higher temperature is likelier."""
    expected = (np.exp(log_probabilities(answers, temperature)) * answers).sum(axis=1)
    return float((expected - answers[np.arange(len(labels)), labels]).mean())
