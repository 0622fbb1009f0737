"""Cuts and resizes in one pass: exactly as the reference does, or with SIMD where the difference cannot matter.

Both resizers widen the filter with the reduction (antialiased) and clip what overshoots between their two passes, but
in another order. On photographs that is a few of 256 steps at most, at the hard edges of drawings up to 28. The SIMD
one takes a tenth of the time, and keeps the interpreter's lock meanwhile.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image

from services.preprocess.geometry import RESAMPLING, Box

LOCKED_PIXELS = 2_000_000
"""Largest picture that is resized under the lock: 1 ms at most."""

_FILTERS = {
    "bicubic": FilterType.catmull_rom,  # Pillow's bicubic is the same cubic, a = -0.5
    "bilinear": FilterType.bilinear,
    "lanczos": FilterType.lanczos3,
}


@dataclass(frozen=True, slots=True)
class Target:
    """Is what a resized picture shall be."""

    width_px: int
    height_px: int
    interpolation: str


def resize(image: Image.Image, box: Box, target: Target) -> npt.NDArray[np.uint8]:
    """Resizes the part of a picture that lies in `box`, as the reference does.

    Args:
        image: RGB.
        box: within the picture, edges not rounded.
        target: of the result.

    Returns:
        RGB, [target.height_px, target.width_px, 3], C-contiguous, read-only.
    """
    size = (target.width_px, target.height_px)
    return np.asarray(image.resize(size, RESAMPLING[target.interpolation], box=box))


def resize_photograph(pixels: npt.NDArray[np.uint8], box: Box, target: Target) -> npt.NDArray[np.uint8]:
    """Does what `resize` does, nearly, for RGB pixels [height, width, 3] without hard edges."""
    height_px, width_px, _ = pixels.shape
    # Enlarging, cykooz-resizer 4.0.1 reads beyond the picture, and crashes at times; reducing, it never did in fuzzing.
    enlarged = box.width_px < target.width_px or box.height_px < target.height_px
    if enlarged or height_px * width_px > LOCKED_PIXELS:
        return resize(Image.fromarray(pixels), box, target)
    # The subtraction can be off by the last bit, and what sticks out of the picture is refused.
    crop = CropBox(box.left, box.top, min(box.width_px, width_px - box.left), min(box.height_px, height_px - box.top))
    algorithm = ResizeAlg.convolution(_FILTERS[target.interpolation])
    source = ImageData(width_px, height_px, PixelType.U8x3, pixels.tobytes())
    result = ImageData(target.width_px, target.height_px, PixelType.U8x3)
    Resizer().resize(source, result, ResizeOptions(resize_alg=algorithm, crop_box=crop))
    return np.frombuffer(result.get_buffer(), np.uint8).reshape(target.height_px, target.width_px, 3)
