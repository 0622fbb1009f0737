"""The one definition of which part of a picture becomes the model's input."""

from typing import NamedTuple

from PIL import Image

from servicekit.manifest import Recipe

RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Pillow's filters, widened with the reduction (antialiased), by the recipe's name."""


class Box(NamedTuple):
    """Is a rectangle in pixels, edges not rounded; (0, 0) is the top left corner of the top left pixel."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width_px(self) -> float:
        """Width."""
        return self.right - self.left

    @property
    def height_px(self) -> float:
        """Height."""
        return self.bottom - self.top

    def divided_by(self, factor: int) -> "Box":
        """Returns the same part of a picture that is `factor` times as small."""
        return Box(self.left / factor, self.top / factor, self.right / factor, self.bottom / factor)


def crop_box(width_px: int, height_px: int, recipe: Recipe) -> Box:
    """Returns the largest centred box of the recipe's aspect ratio, times `recipe.crop` per side."""
    scale = recipe.crop * min(width_px / recipe.width, height_px / recipe.height)
    left = (width_px - recipe.width * scale) / 2
    top = (height_px - recipe.height * scale) / 2
    return Box(max(left, 0.0), max(top, 0.0), min(width_px - left, width_px), min(height_px - top, height_px))
