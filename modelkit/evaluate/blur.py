"""Blur, as lenses and movement make it. Pictures are fp32 `[height, width, 3]`, from 0 to 1.

Lengths are shares of the shorter side, so that a severity looks alike at 28 and at 224 pixels. Kernels are points
that are spread over the four pixels around them: radii below a pixel blur a little, not in steps.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import signal

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
"""`[n, 2]`, offsets down and to the right, pixels."""

_RINGS = 8
_SPOKES = 24
_ZOOMS = 8


def defocus(picture: Floats, radius: float, _: np.random.Generator) -> Floats:
    """Spreads every point over a disc, as a lens does that is focused elsewhere."""
    return convolved(picture, disc(radius * min(picture.shape[:2])))


def motion(picture: Floats, length: float, rng: np.random.Generator) -> Floats:
    """Smears the picture along a line of random direction."""
    return convolved(picture, line(length * min(picture.shape[:2]), rng.uniform(0, np.pi)))


def zoom(picture: Floats, growth: float, _: np.random.Generator) -> Floats:
    """Averages the picture with itself, enlarged step by step up to `1 + growth`."""
    height, width = picture.shape[:2]
    image = Image.fromarray(np.asarray(np.rint(picture * 255), np.uint8))
    total = np.zeros_like(picture)
    for factor in np.linspace(1, 1 + growth, _ZOOMS):
        left, top = (width - width / factor) / 2, (height - height / factor) / 2
        box = (left, top, width - left, height - top)
        total += np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))
    return np.asarray(total / (255 * _ZOOMS), np.float32)


def disc(radius_px: float) -> Points:
    """Returns points that fill a disc evenly."""
    radii = radius_px * np.sqrt((np.arange(_RINGS) + 0.5) / _RINGS)
    angles = 2 * np.pi * np.arange(_SPOKES) / _SPOKES
    return np.stack([np.outer(radii, np.sin(angles)).ravel(), np.outer(radii, np.cos(angles)).ravel()], axis=1)


def line(length_px: float, angle: float) -> Points:
    """Returns points on a line through the middle, a quarter of a pixel apart or less; the angle is in radians."""
    places = np.linspace(-length_px / 2, length_px / 2, 2 + int(4 * length_px))
    return np.stack([np.sin(angle) * places, np.cos(angle) * places], axis=1)


def convolved(picture: Floats, points: Points) -> Floats:
    """Averages the picture over its copies, shifted to each point; the edge goes on outside."""
    kernel = spread(points)
    reach = kernel.shape[0] // 2
    padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return np.asarray(signal.fftconvolve(padded, kernel[..., None], mode="valid", axes=(0, 1)), np.float32)


def spread(points: Points) -> Floats:
    """Returns a square kernel that sums to 1, each point spread over the four pixels around it."""
    reach = int(np.ceil(np.abs(points).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float64)
    low = np.floor(points).astype(np.int64)
    for down in (0, 1):
        for right in (0, 1):
            place = low + np.array([down, right])
            weights = (1 - np.abs(points - place)).prod(axis=1)
            np.add.at(kernel, (place[:, 0] + reach, place[:, 1] + reach), weights)
    return np.asarray(kernel / kernel.sum(), np.float32)
