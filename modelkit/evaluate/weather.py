"""Weather and light. Pictures are fp32 `[height, width, 3]`, from 0 to 1."""

import numpy as np
import numpy.typing as npt

from modelkit.evaluate.blur import convolved, line
from modelkit.evaluate.fields import clouds, grain

Floats = npt.NDArray[np.float32]

_FLAKE = 0.006
"""Size of a snowflake, as a share of the shorter side."""
_FALL = 0.04
"""Length of a flake's trace, as a share of the shorter side."""
_PALE = 0.8
_ICE = np.array([0.74, 0.86, 0.95], np.float32)
_FOG = 0.75
"""Grey of the thinnest fog; the thickest is white."""


def snow(picture: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Lets flakes fall that cover this share of the picture, and pales what is behind them."""
    height, width = picture.shape[:2]
    side = min(height, width)
    field = grain(height, width, max(_FLAKE * side, 0.5), rng)
    flakes = (field > np.quantile(field, 1 - share)).astype(np.float32)
    trace = line(_FALL * side, rng.uniform(np.pi / 4, 3 * np.pi / 4))
    fallen = np.clip(convolved(np.repeat(flakes[..., None], 3, axis=2), trace), 0, 1)
    pale = picture + np.float32(share) * (_PALE - picture)
    return np.asarray(pale + fallen * (1 - pale), np.float32)


def frost(picture: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Covers the picture with ice, of which the crystals are the ridges of fractal noise."""
    ridges = 1 - np.abs(2 * clouds(picture.shape[0], picture.shape[1], rng) - 1)
    cover = np.float32(share) * (0.5 + 0.5 * ridges**2)[..., None]
    return np.asarray(picture * (1 - cover) + cover * _ICE * (0.6 + 0.4 * ridges[..., None]), np.float32)


def fog(picture: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Mixes the picture with clouds, of which it takes this share."""
    grey = _FOG + (1 - _FOG) * clouds(picture.shape[0], picture.shape[1], rng)[..., None]
    return np.asarray(picture + np.float32(share) * (grey - picture), np.float32)


def brightness(picture: Floats, more: float, _: np.random.Generator) -> Floats:
    """Adds the same to every value, as an exposure that is too long."""
    return np.asarray(picture + np.float32(more), np.float32)
