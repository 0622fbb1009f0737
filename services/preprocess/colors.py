"""Every pixel layout that the decoders yield, as 8-bit RGB."""

import numpy as np
from PIL import Image


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts a picture to RGB, 8 bits per channel.

    Transparent parts show white, the ground that most pictures with transparency are drawn for; black would turn dark
    drawings into nothing. Colour profiles are ignored, as training pipelines ignore them. 16-bit samples keep their
    upper byte.

    Args:
        image: Of any mode that PNG, WebP, GIF, BMP or JPEG decode to.
    """
    image = _to_eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    opaque = Image.new("RGB", image.size, "white")
    rgba = image.convert("RGBA")
    opaque.paste(rgba, mask=rgba)
    return opaque


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scales 16-bit grey, which `convert` would clip; Pillow's decoder has already scaled 16-bit colour."""
    if not image.mode.startswith("I"):
        return image
    samples = np.asarray(image)
    grey = Image.fromarray((samples >> 8).astype(np.uint8))
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8)))
    return grey
