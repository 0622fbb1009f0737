"""Random fields that corruptions are made of: clouds, and noise with a grain."""

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Field = npt.NDArray[np.float32]
"""`[height, width]`."""

_DECAY = 0.55
"""Of the amplitude, from one octave to the next finer one."""


def clouds(height: int, width: int, rng: np.random.Generator) -> Field:
    """Returns fractal noise between 0 and 1: octaves of random values, each twice as fine and weaker."""
    total = np.zeros((height, width), np.float32)
    cells, amplitude = 2, 1.0
    while cells <= 2 * max(height, width):
        coarse = Image.fromarray(rng.random((cells, cells), np.float32))
        total += amplitude * np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
        cells, amplitude = 2 * cells, amplitude * _DECAY
    return _stretched(total)


def grain(height: int, width: int, sigma_px: float, rng: np.random.Generator) -> Field:
    """Returns Gaussian noise that is smooth over `sigma_px`, with mean 0 and standard deviation 1."""
    smooth = ndimage.gaussian_filter(rng.standard_normal((height, width), np.float32), sigma_px, mode="wrap")
    return np.asarray((smooth - smooth.mean()) / max(float(smooth.std()), 1e-6), np.float32)


def _stretched(field: Field) -> Field:
    low, high = field.min(), field.max()
    return np.asarray((field - low) / max(float(high - low), 1e-6), np.float32)
