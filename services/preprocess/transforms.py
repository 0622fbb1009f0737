"""Encoded bytes to the model's input: the fast path that serves every request.

Pure and thread safe: no state, no threads of its own, no settings of the libraries changed. The decoders release the
interpreter's lock, and the resizer keeps it for a fraction of a millisecond, so a thread pool scales with the cores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from servicekit.manifest import Recipe
from services.preprocess.colors import to_rgb
from services.preprocess.formats import jpeg
from services.preprocess.formats.header import Format, Header, corrupt
from services.preprocess.geometry import Box, crop_box
from services.preprocess.headers import Limits, read_header
from services.preprocess.resizing import Target, resize, resize_photograph

OVERSAMPLING = 2.0
"""JPEGs are decoded at no less than this many times the target's size: the recipe's own filter takes the last step.
With 1 the decoder takes it wherever it can, which is faster, and moves logits by up to 0.8 instead of 0.3."""

# The classes themselves, not `Image.open`: nothing outside this table can ever be asked to parse a caller's bytes.
_OPENERS: dict[Format, Callable[[BytesIO], ImageFile]] = {
    Format.PNG: PngImageFile,
    Format.WEBP: WebPImageFile,
    Format.GIF: GifImageFile,
    Format.BMP: BmpImageFile,
}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by EXIF orientation."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Is one picture as the model wants it, and what it was."""

    pixels: npt.NDArray[np.uint8]
    """RGB, [recipe.height, recipe.width, 3], C-contiguous, read-only."""
    width_px: int
    """Of the whole picture, upright."""
    height_px: int
    """Of the whole picture, upright."""
    format: Format


def image_to_array(content: bytes, recipe: Recipe, limits: Limits) -> Decoded:
    """Decodes one image and cuts and resizes it to the recipe.

    The first frame counts; the EXIF orientation is obeyed; transparency shows white; colour profiles are ignored.

    Args:
        content: The encoded image: JPEG, PNG, WebP, GIF or BMP.
        recipe: What the model wants.
        limits: What one image may cost.

    Raises:
        InvalidArgument: the image is empty, too large, too complex, damaged, or of a format that is not read.
    """
    return header_to_array(read_header(content, limits), recipe)


def header_to_array(header: Header, recipe: Recipe, oversampling: float = OVERSAMPLING) -> Decoded:
    """Does what `image_to_array` does, after the header was read and found within the limits.

    Raises:
        InvalidArgument: the image is damaged.
    """
    stored = _stored(recipe, header)
    small = _decode_and_resize(header, crop_box(header.width_px, header.height_px, stored), stored, oversampling)
    width_px, height_px = (header.width_px, header.height_px)[:: -1 if header.turned else 1]
    return Decoded(_upright(small, header.orientation), width_px, height_px, header.format)


def _upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    if orientation not in _UPRIGHT:
        return pixels
    return np.asarray(Image.fromarray(pixels).transpose(_UPRIGHT[orientation]))


def _stored(recipe: Recipe, header: Header) -> Recipe:
    """Returns the recipe as seen by a picture that is still on its side: cheap pixels are turned, not all of them."""
    return recipe.model_copy(update={"width": recipe.height, "height": recipe.width}) if header.turned else recipe


def _decode_and_resize(header: Header, box: Box, recipe: Recipe, oversampling: float) -> npt.NDArray[np.uint8]:
    target = Target(recipe.width, recipe.height, recipe.interpolation)
    if header.format is not Format.JPEG:
        return resize(to_rgb(_decode_with_pillow(header)), box, target)
    shrink = min(box.width_px / recipe.width, box.height_px / recipe.height) / oversampling
    pixels, factor = jpeg.decode(header, shrink)
    return resize_photograph(pixels, box.divided_by(factor), target)


def _decode_with_pillow(header: Header) -> Image.Image:
    """Decodes the first frame.

    Raises:
        InvalidArgument: the decoder found the data damaged, or of another size than the header that was checked.
    """
    try:
        image = _OPENERS[header.format](BytesIO(header.body))
        if image.size == (header.width_px, header.height_px):
            image.load()
            return image
    except (OSError, SyntaxError, ValueError) as error:  # all that fuzzing made these four decoders raise
        raise corrupt(header.format) from error
    raise corrupt(header.format)
