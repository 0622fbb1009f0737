"""Makes many pictures of few photographs: crops, mirror images, other light, other JPEG qualities.

Each goes through the same function that serves requests, so that a model is calibrated and judged on what it will see.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from servicekit.manifest import Recipe
from services.preprocess.headers import Limits
from services.preprocess.transforms import image_to_array

Pictures = npt.NDArray[np.uint8]
"""`[n, height, width, 3]`, RGB."""

_SUFFIXES = {".jpg", ".png"}
_SMALLEST_CROP = 0.5
"""Share of the photograph's sides that a crop keeps at least."""
_LIGHT = (0.7, 1.3)
"""Bounds of the gain of each channel: lamps differ in brightness and in colour."""
_QUALITY = (60, 96)
"""Bounds of the JPEG quality, the second one exclusive."""


class NoPhotographsError(ValueError):
    """Says that a folder holds nothing to calibrate or judge with."""


def photographs(folder: Path) -> list[Path]:
    """Lists a folder's photographs, sorted by name.

    Raises:
        NoPhotographsError: there is none.
    """
    found = sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES)
    if not found:
        raise NoPhotographsError(f"{folder} holds no photograph: no .jpg or .png file")
    return found


def unchanged(files: list[Path], recipe: Recipe) -> Pictures:
    """Returns the photographs as requests would bring them."""
    return np.stack([image_to_array(path.read_bytes(), recipe, Limits()).pixels for path in files])


def variants(files: list[Path], recipe: Recipe, *, each: int, seed: int) -> Pictures:
    """Returns `each` variants of every photograph; the same seed gives the same variants."""
    rng = np.random.default_rng(seed)
    opened = [Image.open(path).convert("RGB") for path in files]
    encoded = [_variant(image, rng) for image in opened for _ in range(each)]
    return np.stack([image_to_array(content, recipe, Limits()).pixels for content in encoded])


def small(path: Path, side_px: int) -> bytes:
    """Returns a photograph as a JPEG whose shorter side is so long."""
    image = Image.open(path).convert("RGB")
    share = side_px / min(image.size)
    size = (round(image.width * share), round(image.height * share))
    content = BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(content, "JPEG", quality=90)
    return content.getvalue()


def _variant(image: Image.Image, rng: np.random.Generator) -> bytes:
    image = _crop(image, rng)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    lit = np.clip(np.asarray(image) * rng.uniform(*_LIGHT, size=3), 0, 255).astype(np.uint8)
    content = BytesIO()
    Image.fromarray(lit).save(content, "JPEG", quality=int(rng.integers(*_QUALITY)))
    return content.getvalue()


def _crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    share = rng.uniform(_SMALLEST_CROP, 1)
    width, height = round(image.width * share), round(image.height * share)
    left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))
