"""What the fast decoding path costs in logits: the numbers that the documentation states."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import pytest
from PIL import Image, ImageOps

from servicekit.manifest import Recipe, read_manifest
from services.preprocess.headers import Limits
from services.preprocess.reference import reference_array
from services.preprocess.transforms import image_to_array

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "triton_models" / "efficientnet_lite0"
PHOTOGRAPHS = sorted(path for path in (ROOT / "tests" / "photographs").iterdir() if path.suffix != ".md")
TOLERANCE = 0.4
"""Largest difference of any of the 1000 logits, which span about 17. 0.30 was measured."""
TIE = 0.01
"""Two classes whose reference logits are closer than this share the first place."""


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """The model's own recipe."""
    return read_manifest(MODEL).input


@pytest.fixture(scope="module")
def network() -> Any:
    """The committed model in full precision, whatever the processor prefers."""
    return openvino.Core().compile_model(MODEL / "1" / "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def logits(network: Any, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Returns one picture's logits, [classes]."""
    answer: npt.NDArray[np.float32] = network(pixels[None])[0][0]
    return answer


@pytest.mark.parametrize("quality", [60, 92])
@pytest.mark.parametrize("short_side_px", [200, 300, 512, 1080, 2160])
@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_logits(path: Path, short_side_px: int, quality: int, recipe: Recipe, network: Any) -> None:
    """Scaled decoding moves no logit by more than the tolerance and keeps the first place, on every photograph."""
    photograph = Image.open(path).convert("RGB")
    file = io.BytesIO()
    ImageOps.scale(photograph, short_side_px / min(photograph.size)).save(file, "JPEG", quality=quality)
    reference = logits(network, reference_array(file.getvalue(), recipe))
    fast = logits(network, image_to_array(file.getvalue(), recipe, Limits()).pixels)
    assert np.abs(reference - fast).max() <= TOLERANCE
    assert reference[fast.argmax()] >= reference.max() - TIE


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_same_pixels(path: Path, recipe: Recipe) -> None:
    """The photographs as they are committed agree with the reference to within a few levels."""
    content = path.read_bytes()
    difference = np.abs(reference_array(content, recipe).astype(int) - image_to_array(content, recipe, Limits()).pixels)
    assert difference.max() <= 12
