"""Noise, as sensors and lines have it. Pictures are fp32 `[height, width, 3]`, from 0 (black) to 1."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def gaussian(picture: Floats, sigma: float, rng: np.random.Generator) -> Floats:
    """Adds noise of this standard deviation to every value."""
    return picture + np.float32(sigma) * rng.standard_normal(picture.shape, np.float32)


def shot(picture: Floats, photons: float, rng: np.random.Generator) -> Floats:
    """Counts light in so many photons where the picture is white: the fewer, the more noise."""
    return np.asarray(rng.poisson(picture * photons) / photons, np.float32)


def impulse(picture: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Makes this share of all values 0 or 1; a larger share hits the same values and more."""
    drawn = rng.random(picture.shape, np.float32)
    return np.where(drawn < share / 2, np.float32(0), np.where(drawn > 1 - share / 2, np.float32(1), picture))
