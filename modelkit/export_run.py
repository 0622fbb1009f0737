"""Exports a trained run to the ONNX file that serving takes, after it has seen it answer as the network does."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from modelkit.engine import logits
from modelkit.export import OPSET, export_onnx
from modelkit.gate import Logits
from modelkit.publish import MODEL_FILE
from modelkit.tensorrt.gate import Verdict, check_tensorrt
from modelkit.train.files import write_atomically, write_json
from modelkit.train.networks import load
from modelkit.train.run import sha256
from modelkit.variants import Pictures
from servicekit.manifest import Output
from servicekit.manifest import Recipe as Input

EXPORT_FILE = "export.json"
TOLERANCE = 1e-3
"""Most that a logit of an engine, computed in fp32, may be from torch's, as a share of the largest logit."""
Network = Callable[[torch.Tensor], torch.Tensor]
"""From pixels, uint8 `[n, height, width, 3]`, to logits, fp32 `[n, classes]`."""
_PICTURES = 16
_SEED = 3


class ParityError(ValueError):
    """Says which engine answers otherwise than it must, and by how much."""


@dataclass(frozen=True, slots=True)
class Exported:
    """Is what was written and how near the engines are to what it must answer: torch, or an INT8 file in floats."""

    model: Path
    sha256: str
    opset: int
    differences: dict[str, float]
    """By engine: the largest difference of a logit, as a share of the largest logit."""
    tensorrt: Verdict
    """Of the TensorRT gate."""


def export_run(folder: Path, *, tolerance: float = TOLERANCE) -> Exported:
    """Writes `model.onnx` into the folder of a trained run: uint8 NHWC in, fp32 logits out, any batch size.

    `export.json`, which holds the differences, comes last: with it the file is whole and was checked.

    Raises:
        RecipeError: the folder holds no finished run.
        ParityError: ONNX Runtime or OpenVINO answers otherwise than torch; nothing is written.
        GateError: TensorRT does not take the graph; nothing is written.
    """
    architecture, model = load(folder)
    recipe, output = architecture.input, Output(classes=len(architecture.labels))
    example = torch.zeros(2, recipe.height, recipe.width, 3, dtype=torch.uint8)
    data = export_onnx(model, example, input_name=recipe.tensor, output_name=output.tensor)
    differences = check_parity(model, data, recipe, tolerance=tolerance)
    tensorrt = check_tensorrt(data)
    write_atomically(folder / MODEL_FILE, data)
    exported = Exported(folder / MODEL_FILE, sha256(folder / MODEL_FILE), OPSET, differences, tensorrt)
    about = {"model": MODEL_FILE, "tolerance": tolerance, "tensorrt": tensorrt.by}
    write_json(folder / EXPORT_FILE, {**asdict(exported), **about})
    return exported


def check_parity(
    model: Network,
    data: bytes,
    recipe: Input,
    *,
    tolerance: float = TOLERANCE,
    pictures: Pictures | None = None,
    than: str = "torch",
) -> dict[str, float]:
    """Compares the engines' logits with a network's, of pictures alone and in a batch.

    Args:
        model: what the file must answer as; a module in evaluation mode.
        data: the ONNX file made of it.
        recipe: what the network takes.
        tolerance: as `TOLERANCE`.
        pictures: what is asked; by default noise and shades.
        than: names the network in the error.

    Raises:
        ParityError: an engine is further from the network than the tolerance.
    """
    pictures = _pictures(recipe) if pictures is None else pictures
    with torch.inference_mode():
        expected: Logits = model(torch.from_numpy(pictures)).numpy()
    scale = float(np.abs(expected).max())
    answers = {"onnxruntime": _onnxruntime, "openvino": _openvino}
    differences = {}
    for engine, answer in answers.items():
        got = answer(data, pictures, recipe)
        alone = answer(data, pictures[:1], recipe)
        furthest = max(np.abs(got - expected).max(), np.abs(alone - expected[:1]).max())
        differences[engine] = float(furthest) / scale
        if not differences[engine] <= tolerance:
            raise ParityError(
                f"{engine} answers otherwise than {than}: a logit is {differences[engine]:.2g} of the largest one "
                f"away, at most {tolerance:g} is allowed"
            )
    return differences


def _pictures(recipe: Input) -> Pictures:
    rng = np.random.default_rng(_SEED)
    noise = rng.integers(0, 256, (_PICTURES // 2, recipe.height, recipe.width, 3), np.uint8)
    ramp = np.linspace(0, 255, recipe.width, dtype=np.uint8)[None, None, :, None]
    gains = rng.uniform(0.1, 1, (_PICTURES // 2, 1, 1, 3))
    shades = np.broadcast_to(ramp * gains, noise.shape).astype(np.uint8)
    return np.concatenate([noise, shades])


def _openvino(data: bytes, pictures: Pictures, _: Input) -> Logits:
    return logits(data, pictures, precision="f32")


def _onnxruntime(data: bytes, pictures: Pictures, recipe: Input) -> Logits:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    answer: Logits = session.run(None, {recipe.tensor: pictures})[0]
    return answer
