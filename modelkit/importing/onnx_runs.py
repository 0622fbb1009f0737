"""Runs of ONNX files from elsewhere: wrapped, held against the original in every engine, and exported already."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from modelkit.export_run import ParityError, check_parity
from modelkit.importing.onnx_file import Checked, check, wrap
from modelkit.importing.preparation import Preparation, Wishes, of_wishes
from modelkit.train.pixels import Split
from modelkit.train.recipe import RecipeError
from servicekit.manifest import Output

BATCH = 64
"""Pictures that are prepared at a time."""
Answer = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""From pixels `[n, height, width, 3]` to logits `[n, classes]`."""


@dataclass(frozen=True)
class Wrapped:
    """Is a file that serving can take."""

    data: bytes
    preparation: Preparation
    answer: Answer
    """What the original file says, asked by itself."""
    differences: dict[str, float]
    """By engine: the largest difference of a logit from the original's, as a share of the largest logit."""
    notes: tuple[str, ...]


def load_onnx(file: Path, wishes: Wishes, classes: int) -> Wrapped:
    """Reads a file and wraps it.

    Raises:
        RecipeError: it is no image classifier, or nothing says how pictures are prepared for it.
        ParityError: an engine answers otherwise than the original.
    """
    checked = check(_read(file))
    preparation = _preparation(checked, wishes)
    data = wrap(checked, preparation, Output(classes=classes))
    answer = _original(checked, preparation)
    return Wrapped(data, preparation, answer, _parity(answer, data, preparation), checked.notes)


def measured(answer: Answer, split: Split) -> dict[str, float | int]:
    """Measures what the original file says of a split."""
    parts = (slice(begin, begin + BATCH) for begin in range(0, len(split), BATCH))
    logits = np.concatenate([answer(np.ascontiguousarray(split.pixels[part])) for part in parts])
    return scored(logits, split.labels)


def scored(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> dict[str, float | int]:
    """Returns how many of the answers are right, first or among the best five.

    Args:
        logits: `[n, classes]`.
        labels: `[n]`, the true classes.
    """
    hits = np.argsort(-logits, axis=1, kind="stable")[:, :5] == labels[:, None]
    return {"pictures": len(labels), "top1": float(hits[:, 0].mean()), "top5": float(hits.any(axis=1).mean())}


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RecipeError(f"{file} cannot be read: {error.strerror}") from error


def _preparation(checked: Checked, wishes: Wishes) -> Preparation:
    """Returns how pictures are prepared: a file that takes pixels normalises them itself."""
    if checked.floats:
        return of_wishes(wishes, checked.size)
    if wishes.mean or wishes.std:
        raise RecipeError("the file takes pixels and normalises them itself: leave out --mean and --std")
    return of_wishes(replace(wishes, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), checked.size)


def _parity(answer: Answer, data: bytes, preparation: Preparation) -> dict[str, float]:
    """Compares the wrapped file in the engines with the original."""
    try:
        return check_parity(lambda pixels: torch.from_numpy(answer(pixels.numpy())), data, preparation.input)
    except ParityError:
        raise
    except Exception as error:  # the engines have errors of their own
        why = str(error).strip().splitlines()[0]
        raise RecipeError(f"the file does not take any number of pictures at a time: {why[:300]}") from error


def _original(checked: Checked, preparation: Preparation) -> Answer:
    """Returns what the original file answers, with a normalisation that is not the graph's."""
    data = checked.model.SerializeToString()
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:  # the engine has errors of its own
        raise RecipeError(f"ONNX Runtime does not run the file: {str(error).strip().splitlines()[0][:300]}") from error
    mean, std = (np.array(each, np.float32) for each in (preparation.mean, preparation.std))

    def answer(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        ready = (pixels.astype(np.float32) - mean) / std if checked.floats else pixels
        ready = ready.transpose(0, 3, 1, 2) if checked.channels_first else ready
        rows = [session.run(None, {checked.name: row[np.newaxis]})[0] for row in np.ascontiguousarray(ready)]
        return np.concatenate(rows)

    return answer
