"""Quantises a finished run to INT8 after its training, into a run folder of its own.

The folder holds what publishing and evaluating read, `model.onnx` as their file; there are no torch weights. A run that
was trained with `precision: int8` loses less, and is quantised in the same way. `result.json` comes last: with it the
run is whole, and was checked. The same plan gives the same bytes, so that what was cut off is simply done again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from modelkit.compress.accuracy import accuracy, best_classes
from modelkit.compress.parity import INT8_TOLERANCE, check_int8
from modelkit.compress.qdq import Method, count_qdq, quantised
from modelkit.engine import float_precision, int8_convolutions
from modelkit.export import OPSET
from modelkit.export_run import EXPORT_FILE, Exported, export_run
from modelkit.publish import MODEL_FILE
from modelkit.tensorrt.gate import check_tensorrt
from modelkit.train.files import write_atomically, write_json
from modelkit.train.measure import size_of
from modelkit.train.networks import ARCHITECTURE_FILE, load
from modelkit.train.pixels import Split
from modelkit.train.recipe import Data, RecipeError, changed, load_yaml, parse
from modelkit.train.run import LINEAGE_FILE, RESULT_FILE, alone, check_origin, finished, sha256, start, write_lineage
from modelkit.train.train import Pictures, Places, read_pictures
from modelkit.variants import Pictures as Pixels
from servicekit.manifest import Recipe as Input


class Quantising(BaseModel):
    """Says what to quantise and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")
    """Of the new run and its folder."""
    parent: Path
    """Folder of the run to quantise."""
    calibration: int = Field(default=512, ge=1)
    """Pictures of the split `train` that set the ranges of the activations, the first ones."""
    method: Method = "minmax"
    """How a range follows from the values that were seen."""
    float_convolutions: int = Field(default=0, ge=0)
    """Convolutions, from the input on, that stay in floating point."""


Read = Callable[[Data, Input, Places], Pictures]


def read_plan(source: Path, given: Mapping[str, object], changes: tuple[str, ...] = ()) -> Quantising:
    """Returns the plan of a recipe, or for the folder of a run the plan that quantises it, `-int8` after its name.

    Args:
        source: the YAML file, or the folder.
        given: goes above what the source says.
        changes: `key=value`, go above all.

    Raises:
        RecipeError: the file cannot be read, or something in the plan is unknown, missing or out of bounds.
    """
    content = {"name": f"{source.name}-int8", "parent": source} if source.is_dir() else load_yaml(source)
    return parse(Quantising, changed({**content, **given}, changes), str(source))


def quantise_run(plan: Quantising, places: Places, *, read: Read = read_pictures) -> Path:
    """Quantises a run, measures it, and returns the new run's folder. What is there already is left as it is.

    Args:
        plan: what and how.
        places: where things are kept.
        read: brings the pictures of the data set that the parent was trained with.

    Raises:
        RecipeError: the parent is no finished run, or the new one exists and was made otherwise.
        DataError: the data set is not there.
        ParityError: the parent's ONNX file answers otherwise than the parent, or the engines otherwise than the INT8
            file says; the run stays unfinished.
        GateError: TensorRT does not take the graph; the run stays unfinished.
    """
    folder = places.runs / plan.name
    start(folder, plan, resume=True)
    with alone(folder):
        if finished(folder):
            check_origin(folder, {"weights": plan.parent}, MODEL_FILE)
        else:
            _quantise(plan, folder, places, read)
    return folder


def _quantise(plan: Quantising, folder: Path, places: Places, read: Read) -> None:
    architecture, network = load(plan.parent)
    pictures = read(dataset_of(plan.parent), architecture.input, places)
    original = export_run(plan.parent).model.read_bytes()
    train = pictures.splits["train"].pixels
    candidate = quantised(
        original,
        np.array(train[: plan.calibration]),
        tensor=architecture.input.tensor,
        method=plan.method,
        float_convolutions=plan.float_convolutions,
    )
    _export(folder, candidate, train, architecture.input)
    write_atomically(folder / ARCHITECTURE_FILE, (plan.parent / ARCHITECTURE_FILE).read_bytes())
    write_lineage(folder, "quantise", pictures.dataset, {"weights": plan.parent}, folder / MODEL_FILE)
    result = _measured(original, candidate, pictures.splits)
    write_json(folder / RESULT_FILE, {**result, **asdict(size_of(network, architecture.input))})


def _export(folder: Path, candidate: bytes, pictures: Pixels, takes: Input) -> None:
    """Writes what `export_run` writes, when the engines answer pictures as the file says and TensorRT reads it."""
    differences = check_int8(candidate, pictures, takes)
    tensorrt = check_tensorrt(candidate)
    write_atomically(folder / MODEL_FILE, candidate)
    exported = Exported(folder / MODEL_FILE, sha256(folder / MODEL_FILE), OPSET, differences, tensorrt)
    about = {"model": MODEL_FILE, "precision": "int8", "tolerance": INT8_TOLERANCE, "tensorrt": tensorrt.by}
    write_json(folder / EXPORT_FILE, {**asdict(exported), **about})


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


def _measured(original: bytes, candidate: bytes, splits: dict[str, Split]) -> dict[str, object]:
    result: dict[str, object] = {}
    parent: dict[str, object] = {}
    for name in ("val", "test"):
        if name in splits:
            best = [best_classes(original, splits[name], precision="f32"), best_classes(candidate, splits[name])]
            before, after = (accuracy(each, splits[name].labels) for each in best)
            result[name], parent[name] = asdict(after), asdict(before)
            result[f"drop_points_{name}"] = round(100 * (before.top1 - after.top1), 3)
            result[f"same_first_class_{name}"] = round(float((best[0][:, 0] == best[1][:, 0]).mean()), 4)
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
