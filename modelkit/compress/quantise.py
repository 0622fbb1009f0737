"""Quantises a finished run to INT8 after its training, into a run folder of its own.

The folder holds what publishing and evaluating read, `model.onnx` as their file; there are no torch weights. A run that
was trained with `precision: int8` loses less, and is quantised in the same way.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from modelkit.compress.qdq import Method, count_qdq, quantised
from modelkit.engine import compiled, float_precision, int8_convolutions
from modelkit.export_run import EXPORT_FILE, export_run
from modelkit.publish import MODEL_FILE
from modelkit.train.files import write_atomically, write_json
from modelkit.train.measure import size_of
from modelkit.train.networks import ARCHITECTURE_FILE, load
from modelkit.train.pixels import Split
from modelkit.train.recipe import Data, RecipeError
from modelkit.train.run import LINEAGE_FILE, RESULT_FILE, finished, sha256, start, write_lineage
from modelkit.train.train import Pictures, Places, read_pictures
from modelkit.variants import Pictures as Pixels
from servicekit.manifest import Recipe as Input


class Quantising(BaseModel):
    """Says what to quantise and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Of the new run."""
    parent: Path
    """Folder of the run to quantise."""
    calibration: int = Field(default=512, ge=1)
    """Pictures of the split `train` that set the ranges of the activations, the first ones."""
    method: Method = "minmax"
    """How a range follows from the values that were seen."""
    float_convolutions: int = Field(default=0, ge=0)
    """Convolutions, from the input on, that stay in floating point."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Is how well a file answers through the engine that serves."""

    pictures: int
    top1: float
    top5: float


Read = Callable[[Data, Input, Places], Pictures]


def quantise_run(plan: Quantising, places: Places, *, read: Read = read_pictures) -> Path:
    """Quantises a run, measures it, and returns the new run's folder. What is there already is left as it is.

    Args:
        plan: what and how.
        places: where things are kept.
        read: brings the pictures of the data set that the parent was trained with.

    Raises:
        RecipeError: the parent is no finished run, or the new one exists and was made otherwise.
        DataError: the data set is not there.
        ParityError: the parent's ONNX file answers otherwise than the parent.
    """
    folder = places.runs / plan.name
    start(folder, plan, resume=True)
    if finished(folder):
        return folder
    architecture, network = load(plan.parent)
    pictures = read(dataset_of(plan.parent), architecture.input, places)
    original = export_run(plan.parent).model.read_bytes()
    candidate = quantised(
        original,
        np.array(pictures.splits["train"].pixels[: plan.calibration]),
        tensor=architecture.input.tensor,
        method=plan.method,
        float_convolutions=plan.float_convolutions,
    )
    write_atomically(folder / MODEL_FILE, candidate)
    write_atomically(folder / ARCHITECTURE_FILE, (plan.parent / ARCHITECTURE_FILE).read_bytes())
    write_lineage(folder, "quantise", pictures.dataset, {"weights": plan.parent}, folder / MODEL_FILE)
    write_json(folder / EXPORT_FILE, {"model": MODEL_FILE, "sha256": sha256(folder / MODEL_FILE), "precision": "int8"})
    result = _measured(original, candidate, pictures.splits)
    write_json(folder / RESULT_FILE, {**result, **asdict(size_of(network, architecture.input))})
    return folder


def accuracy(model: bytes, split: Split, *, precision: str = "") -> Accuracy:
    """Measures a file on a split, through OpenVINO.

    Args:
        model: the ONNX file.
        split: the pictures.
        precision: as in `modelkit.engine.compiled`.
    """
    answer = compiled(model, precision=precision)
    parts = (slice(begin, begin + 1000) for begin in range(0, len(split), 1000))
    hits = [_hits(answer(_pixels(split, part)), split.labels[part]) for part in parts]
    top1, top5 = np.sum(hits, axis=0) / len(split)
    return Accuracy(len(split), float(top1), float(top5))


def dataset_of(run: Path) -> Data:
    """Returns the data set version that a run was trained with.

    Raises:
        RecipeError: the run does not say.
    """
    try:
        content = json.loads((run / LINEAGE_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{run} does not say which data set it was trained with: {error}") from error
    return Data.model_validate(content["dataset"])


def _pixels(split: Split, part: slice) -> Pixels:
    return np.ascontiguousarray(split.pixels[part])


def _hits(answers: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> tuple[int, int]:
    best = np.argsort(-answers, axis=1, kind="stable")[:, :5] == labels[:, None]
    return int(best[:, 0].sum()), int(best.sum())


def _measured(original: bytes, candidate: bytes, splits: dict[str, Split]) -> dict[str, object]:
    result: dict[str, object] = {}
    parent: dict[str, object] = {}
    for name in ("val", "test"):
        if name in splits:
            before, after = accuracy(original, splits[name], precision="f32"), accuracy(candidate, splits[name])
            result[name], parent[name] = asdict(after), asdict(before)
            result[f"drop_points_{name}"] = round(100 * (before.top1 - after.top1), 3)
    real, convolutions = int8_convolutions(candidate)
    return {
        **result,
        "parent": parent,
        "engine": f"OpenVINO {metadata.version('openvino')}, floats in {float_precision()}; the parent's in f32",
        "layers": count_qdq(candidate),
        "int8_convolutions_in_openvino": f"{real} of {convolutions}",
        "bytes": len(candidate),
        "parent_bytes": len(original),
    }
