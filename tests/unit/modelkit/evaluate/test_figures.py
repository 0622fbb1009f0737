"""Shares and confusions, counted by hand."""

import numpy as np

from modelkit.evaluate.examples import surest_mistakes
from modelkit.evaluate.figures import ClassFigures, Pair, class_figures, confused_pairs, confusion_matrix, top_k

NAMES = ("cat", "dog", "owl", "fox")
ANSWERS = np.array([[3, 2, 1, 0], [2, 3, 1, 0], [1, 3, 2, 0], [0, 9, 8, 0], [0, 1, 2, 0]], np.float32)
LABELS = np.array([0, 0, 2, 2, 2])


def test_top_k() -> None:
    """Two of five are right at once, all within two."""
    assert [0.4, 1.0, 1.0] == [top_k(ANSWERS, LABELS, k) for k in (1, 2, 5)]


def test_matrix_and_classes() -> None:
    """Rows are true; what never came or was never answered has no share."""
    matrix = confusion_matrix(ANSWERS, LABELS)
    assert [[1, 1, 0, 0], [0, 0, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0]] == matrix.tolist()
    assert [
        ClassFigures("cat", 2, 0.5, 1.0),
        ClassFigures("dog", 0, None, 0.0),
        ClassFigures("owl", 3, 1 / 3, 1.0),
        ClassFigures("fox", 0, None, None),
    ] == class_figures(matrix, NAMES)


def test_confusions() -> None:
    """The most frequent first, right answers never; the pictures that are furthest off come first."""
    pairs = confused_pairs(confusion_matrix(ANSWERS, LABELS), NAMES, 5)
    assert [Pair("owl", "dog", 2, 2 / 3), Pair("cat", "dog", 1, 0.5)] == pairs
    assert pairs[:1] == confused_pairs(confusion_matrix(ANSWERS, LABELS), NAMES, 1)
    expected = [("owl, taken for dog: 2", [2, 3]), ("cat, taken for dog: 1", [1])]
    assert expected == surest_mistakes(pairs, ANSWERS, LABELS, NAMES)
