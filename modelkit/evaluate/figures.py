"""How often a model is right, and what it takes for what: pure functions of logits and true classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelkit.gate import Logits

Labels = npt.NDArray[np.int64]
"""`[n]`, classes from 0."""
Matrix = npt.NDArray[np.int64]
"""`[classes, classes]`: pictures by true class (row) and first class of the answer (column)."""


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Is how a model does on one class."""

    label: str
    pictures: int
    accuracy: float | None
    """Share of its pictures that are answered with it; None where there are none."""
    precision: float | None
    """Share of the answers with it that are right; None where there are none."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Is a confusion."""

    true: str
    taken_for: str
    pictures: int
    share: float
    """Of the true class's pictures."""


def top_k(answers: Logits, labels: Labels, k: int) -> float:
    """Returns the share of pictures whose true class is among the best `k`; of equal logits the lower class wins."""
    best = np.argsort(-answers, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def confusion_matrix(answers: Logits, labels: Labels) -> Matrix:
    """Counts pictures by true class and first class of the answer."""
    classes = answers.shape[1]
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, answers.argmax(axis=1)), 1)
    return matrix


def class_figures(matrix: Matrix, names: Sequence[str]) -> list[ClassFigures]:
    """Returns the figures of every class, in their order."""
    right, pictures, answered = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        ClassFigures(name, int(pictures[at]), _share(right[at], pictures[at]), _share(right[at], answered[at]))
        for at, name in enumerate(names)
    ]


def confused_pairs(matrix: Matrix, names: Sequence[str], most: int) -> list[Pair]:
    """Returns at most so many confusions, the most frequent first; of equal ones that of the lower classes."""
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    places = [divmod(int(flat), len(names)) for flat in order]
    pictures = matrix.sum(axis=1)
    return [
        Pair(names[row], names[column], int(wrong[row, column]), float(wrong[row, column] / pictures[row]))
        for row, column in places
        if wrong[row, column]
    ]


def _share(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None
