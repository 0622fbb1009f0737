"""Decoded pictures of data sets, through the same function that serves requests."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from servicekit.errors import InvalidArgument
from servicekit.manifest import Recipe
from services.preprocess.headers import Limits
from services.preprocess.transforms import Decoded, image_to_array

_GROUND = (244, 244, 245)
_GAP_PX = 4


def square(image: bytes, side_px: int) -> Decoded:
    """Decodes a picture, cut to its centred square and resized.

    Raises:
        InvalidArgument: it is damaged or over a limit of serving.
    """
    return image_to_array(image, Recipe(width=side_px, height=side_px, crop=1.0, interpolation="bilinear"), Limits())


def sheet(rows: Iterable[list[bytes]], side_px: int = 56) -> Image.Image:
    """Draws pictures in rows on one sheet; a picture that cannot be decoded leaves a gap."""
    grid = list(rows)
    step = side_px + _GAP_PX
    width = max((len(row) for row in grid), default=1)
    canvas = Image.new("RGB", (width * step + _GAP_PX, max(len(grid), 1) * step + _GAP_PX), _GROUND)
    for y, row in enumerate(grid):
        for x, image in enumerate(row):
            pixels = thumbnail(image, side_px)
            if pixels is not None:
                canvas.paste(Image.fromarray(pixels), (x * step + _GAP_PX, y * step + _GAP_PX))
    return canvas


def thumbnail(image: bytes, side_px: int) -> npt.NDArray[np.uint8] | None:
    """Decodes a picture for people to look at, None if it cannot be decoded."""
    try:
        return square(image, side_px).pixels
    except InvalidArgument:
        return None
