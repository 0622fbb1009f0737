"""Logits to ranked predictions: pure numpy, vectorised over the batch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Is one class with its score."""

    index: int
    score: float


def softmax(logits: npt.NDArray[np.float32], temperature: float) -> Floats:
    """Returns calibrated probabilities.

    Args:
        logits: `[n, classes]`, finite.
        temperature: above 0; logits are divided by it.

    Returns:
        `[n, classes]`, each row summing to 1.
    """
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def rank(
    logits: npt.NDArray[np.float32], temperature: float, top_k: list[int], min_score: list[float]
) -> list[list[Ranked]]:
    """Ranks the classes of every row, descending by score, equal scores ascending by index.

    Args:
        logits: `[n, classes]`, finite.
        temperature: above 0.
        top_k: most predictions of each row, >= 1; more than there are classes gives all of them.
        min_score: least score of each row's predictions; it may leave none.

    Returns:
        One list per row.
    """
    scores = softmax(logits, temperature)
    classes = scores.shape[1]
    largest = min(max(top_k), classes)
    # Everything that can be among the `largest` best of its row, ties at the border included.
    border = np.partition(scores, classes - largest, axis=1)[:, classes - largest]
    return [
        _rank_row(row, np.flatnonzero(row >= least), min(k, classes), floor)
        for row, least, k, floor in zip(scores, border, top_k, min_score, strict=True)
    ]


def _rank_row(scores: Floats, candidates: npt.NDArray[np.intp], top_k: int, min_score: float) -> list[Ranked]:
    order = candidates[np.argsort(-scores[candidates], kind="stable")][:top_k]
    return [Ranked(int(index), float(scores[index])) for index in order if scores[index] >= min_score]
