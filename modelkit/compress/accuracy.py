"""Measures ONNX files on a split, through OpenVINO, the engine that serves."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelkit.engine import compiled
from modelkit.train.pixels import Split

Classes = npt.NDArray[np.int64]
"""`[n, 5]`, the best first; fewer columns where there are fewer classes."""
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Is how well a file answers."""

    pictures: int
    top1: float
    top5: float


def accuracy(best: Classes, labels: npt.NDArray[np.int64]) -> Accuracy:
    """Counts how many answers are right, first or among the best five.

    Args:
        best: of the pictures, as `best_classes` returns them.
        labels: `[n]`, the true classes.
    """
    hits = best == labels[:, None]
    return Accuracy(len(labels), float(hits[:, 0].mean()), float(hits.any(axis=1).mean()))


def best_classes(model: bytes, split: Split, *, precision: str = "") -> Classes:
    """Asks a file about every picture of a split.

    Args:
        model: the ONNX file.
        split: the pictures.
        precision: as in `modelkit.engine.compiled`.
    """
    answer = compiled(model, precision=precision)
    parts = (np.ascontiguousarray(split.pixels[at : at + _BATCH]) for at in range(0, len(split), _BATCH))
    return np.concatenate([np.argsort(-answer(part), axis=1, kind="stable")[:, :5] for part in parts])
