"""The reference: what `transforms` must agree with, written for the eye and not for speed.

Every pixel is decoded by Pillow, turned upright, and resized once, exactly as `geometry.crop_box` says. The customary
"resize the short side, then crop" rounds the resized side and the crop's corner to whole pixels, which shifts the
picture by up to half a pixel, and says nothing about targets that are not square. For trusted files: no limits.
"""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from servicekit.manifest import Recipe
from services.preprocess.colors import to_rgb
from services.preprocess.geometry import RESAMPLING, crop_box


def reference_array(content: bytes, recipe: Recipe) -> npt.NDArray[np.uint8]:
    """Returns what the recipe asks for: RGB, [recipe.height, recipe.width, 3].

    Raises:
        OSError: Pillow cannot read the image.
    """
    with Image.open(BytesIO(content)) as image:
        upright = to_rgb(ImageOps.exif_transpose(image))
    box = crop_box(*upright.size, recipe)
    return np.asarray(upright.resize((recipe.width, recipe.height), RESAMPLING[recipe.interpolation], box=box))
