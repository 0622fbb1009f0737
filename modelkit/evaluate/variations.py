"""Small differences that a picture meets on its way: JPEG again, another filter, another decoder, a step aside.

Each takes the encoded picture through the preprocess service's own functions.
"""

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from modelkit.evaluate.corruptions import randomness
from servicekit.manifest import Recipe
from services.preprocess.colors import to_rgb
from services.preprocess.headers import Limits, read_header
from services.preprocess.reference import reference_array
from services.preprocess.transforms import header_to_array, image_to_array

Pixels = npt.NDArray[np.uint8]
"""`[height, width, 3]`, RGB."""
Vary = Callable[[bytes, str], Pixels]
"""Takes an encoded picture and its id, and returns what the model would see."""

QUALITIES = (95, 85, 75, 60, 40)
SHIFTS_PX = (1, 2, 3)
_FINE = 95
"""JPEG quality at which decoders are compared, where a picture is no JPEG yet."""
_DIRECTIONS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def variations(recipe: Recipe, seed: int) -> dict[str, dict[str, Vary]]:
    """Returns what to vary and how far: JPEG quality, resizing filter, decoder, pixels aside."""
    filters = get_args(Recipe.model_fields["interpolation"].annotation)
    return {
        "jpeg quality": {str(each): partial(_at_quality, recipe, each) for each in QUALITIES},
        "resizing": {each: partial(_resized, recipe, each) for each in filters if each != recipe.interpolation},
        "decoder": {
            "serving": partial(_served, recipe),
            "scaled": partial(_scaled, recipe),
            "reference": partial(_whole, recipe),
        },
        "shift": {f"{each} px": partial(_aside, recipe, each, seed) for each in SHIFTS_PX},
    }


def recompressed(content: bytes, quality: int) -> bytes:
    """Encodes a picture as JPEG, upright and whole."""
    with Image.open(BytesIO(content)) as image:
        upright = to_rgb(ImageOps.exif_transpose(image))
    encoded = BytesIO()
    upright.save(encoded, "JPEG", quality=quality)
    return encoded.getvalue()


def shifted(pixels: Pixels, down: int, right: int) -> Pixels:
    """Moves a picture by whole pixels, fewer than it has; its edge goes on where it came from."""
    height, width = pixels.shape[:2]
    reach = max(abs(down), abs(right))
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return padded[reach - down : reach - down + height, reach - right : reach - right + width]


def _at_quality(recipe: Recipe, quality: int, content: bytes, _: str) -> Pixels:
    return image_to_array(recompressed(content, quality), recipe, Limits()).pixels


def _resized(recipe: Recipe, interpolation: str, content: bytes, _: str) -> Pixels:
    return image_to_array(content, recipe.model_copy(update={"interpolation": interpolation}), Limits()).pixels


def _served(recipe: Recipe, content: bytes, _: str) -> Pixels:
    """Decodes a JPEG as serving does, of at least twice the size that the model takes."""
    return image_to_array(_as_jpeg(content), recipe, Limits()).pixels


def _scaled(recipe: Recipe, content: bytes, _: str) -> Pixels:
    """Lets the JPEG decoder scale as far down as it can, without a margin for the recipe's filter."""
    return header_to_array(read_header(_as_jpeg(content), Limits()), recipe, oversampling=1.0).pixels


def _whole(recipe: Recipe, content: bytes, _: str) -> Pixels:
    """Decodes every pixel with Pillow, and resizes once."""
    return reference_array(_as_jpeg(content), recipe)


def _as_jpeg(content: bytes) -> bytes:
    return content if content.startswith(b"\xff\xd8") else recompressed(content, _FINE)


def _aside(recipe: Recipe, distance_px: int, seed: int, content: bytes, key: str) -> Pixels:
    """Shifts in one of eight directions, which the picture's id decides."""
    down, right = _DIRECTIONS[randomness(seed, "shift", key).integers(len(_DIRECTIONS))]
    return shifted(image_to_array(content, recipe, Limits()).pixels, distance_px * down, distance_px * right)
