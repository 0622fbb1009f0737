"""What an evaluation found, as `evaluation.json` holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelkit.evaluate.calibration import Bin, bins, expected_error, fit_temperature, mean_nll
from modelkit.evaluate.cost import Cost
from modelkit.evaluate.figures import ClassFigures, Labels, Pair, class_figures, confused_pairs, confusion_matrix, top_k
from modelkit.evaluate.robustness import Robustness
from modelkit.gate import Logits

PAIRS = 10
"""Confusions that are named."""
Content = Mapping[str, Any]
"""What `evaluation.json` holds: a `Findings`, and those of `relatives`."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Is how often a model is right."""

    top1: float
    top5: float
    classes: list[ClassFigures]
    confused: list[Pair]
    matrix: dict[str, dict[str, int]]
    """Pictures by index of the true class and of the answer, without zeros."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Is whether a model is as sure as it is right, with and without its temperature."""

    fitted_on: str
    """Split; empty where no temperature could be fitted."""
    why_not: str
    temperature: float
    ece: tuple[float, float]
    """Expected calibration error, 15 bins, before and after."""
    nll: tuple[float, float]
    """Nats, before and after."""
    bins: tuple[list[Bin], list[Bin]]


@dataclass(frozen=True, slots=True)
class Findings:
    """Is everything about one model."""

    name: str
    made: str
    model_sha256: str
    accuracy: Accuracy
    calibration: Calibration
    cost: Cost
    robustness: Robustness


def accuracy_of(answers: Logits, labels: Labels, names: Sequence[str]) -> Accuracy:
    """Returns the figures of a split.

    Args:
        answers: the logits.
        labels: the true classes.
        names: of the classes.
    """
    matrix = confusion_matrix(answers, labels)
    filled = {
        str(row): {str(column): int(matrix[row, column]) for column in matrix[row].nonzero()[0]}
        for row in range(len(names))
    }
    return Accuracy(
        top1=top_k(answers, labels, 1),
        top5=top_k(answers, labels, 5),
        classes=class_figures(matrix, names),
        confused=confused_pairs(matrix, names, PAIRS),
        matrix=filled,
    )


def calibration_of(test: tuple[Logits, Labels], val: tuple[Logits, Labels] | None) -> Calibration:
    """Fits the temperature on `val`, and judges it on the test split.

    Args:
        test: logits and true classes.
        val: the same; None where the data set has no such split.
    """
    fitted = fit_temperature(*val) if val else None
    temperature = 1.0 if fitted is None else round(fitted, 4)
    found = bins(*test), bins(*test, temperature)
    why = "the data set has no split val" if val is None else "every answer on val is right, or none better than chance"
    return Calibration(
        fitted_on="" if fitted is None else "val",
        why_not=why if fitted is None else "",
        temperature=temperature,
        ece=(expected_error(found[0]), expected_error(found[1])),
        nll=(mean_nll(*test), mean_nll(*test, temperature)),
        bins=found,
    )


def models_of(content: Content) -> list[Content]:
    """Returns the model and those that it is compared with."""
    return [content, *content["relatives"]]
