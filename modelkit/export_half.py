"""Exports a finished run in half precision, into a run folder of its own: TensorRT takes precision from the file.

The network computes in fp16 between the cast of the pixels' normalised values and the cast of the logits back to fp32.
On a CPU it gains nothing: OpenVINO computes as it does with fp32 weights, ONNX Runtime inserts casts.
"""

import json
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict

from modelkit.export import OPSET, export_onnx
from modelkit.export_run import EXPORT_FILE, Exported, check_parity, export_run
from modelkit.publish import MODEL_FILE
from modelkit.tensorrt.gate import check_tensorrt
from modelkit.train.files import write_atomically, write_json
from modelkit.train.networks import ARCHITECTURE_FILE, load
from modelkit.train.run import LINEAGE_FILE, RESULT_FILE, sha256, start, write_lineage
from servicekit.manifest import Output

HALF_TOLERANCE = 1e-2
"""Most that a logit may be from torch's fp32, as a share of the largest logit: fp16 has eleven bits."""


class Halving(BaseModel):
    """Says what is exported, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Of the new run."""
    parent: Path
    """Folder of the finished run."""
    precision: Literal["fp16"] = "fp16"


def export_half(parent: Path, name: str, *, tolerance: float = HALF_TOLERANCE) -> Exported:
    """Writes `model.onnx` with fp16 weights into a folder beside the run, with what publishing reads of a run.

    Its accuracy in training is the parent's: the parity gate compares that with what the file answers.

    Args:
        parent: folder of the finished run, with torch weights.
        name: of the new folder.
        tolerance: as `HALF_TOLERANCE`.

    Raises:
        RecipeError: there is no finished run, or one of the new name was made otherwise.
        ParityError: an engine answers otherwise than the network does in fp32; nothing is exported.
        GateError: TensorRT does not take the graph; nothing is exported.
    """
    architecture, model = load(parent)
    export_run(parent)  # lineage names the parent's file
    folder, recipe = parent.parent / name, architecture.input
    start(folder, Halving(name=name, parent=parent), resume=True)
    half = deepcopy(model)
    half.net.half()
    example = torch.zeros(2, recipe.height, recipe.width, 3, dtype=torch.uint8)
    output = Output(classes=len(architecture.labels))
    data = export_onnx(half, example, input_name=recipe.tensor, output_name=output.tensor)
    differences = check_parity(model, data, recipe, tolerance=tolerance)
    tensorrt = check_tensorrt(data)
    write_atomically(folder / MODEL_FILE, data)
    write_atomically(folder / ARCHITECTURE_FILE, (parent / ARCHITECTURE_FILE).read_bytes())
    dataset = json.loads((parent / LINEAGE_FILE).read_bytes())["dataset"]
    write_lineage(folder, "halve", dataset, {"weights": parent}, folder / MODEL_FILE)
    exported = Exported(folder / MODEL_FILE, sha256(folder / MODEL_FILE), OPSET, differences, tensorrt)
    about = {"model": MODEL_FILE, "precision": "fp16", "tolerance": tolerance, "tensorrt": tensorrt.by}
    write_json(folder / EXPORT_FILE, {**asdict(exported), **about})
    write_json(folder / RESULT_FILE, json.loads((parent / RESULT_FILE).read_bytes()))
    return exported
