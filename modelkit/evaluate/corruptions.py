"""Corruptions of pictures, each in five severities: the one table that evaluation and gates go by.

They follow the idea and the names of ImageNet-C (Hendrycks and Dietterich, 2019). Functions and strengths are our own,
so the figures compare with each other and not with published ones. A picture's randomness is a function of the seed,
the corruption and the picture's id: it is corrupted the same wherever, whenever and at whatever place in a data set it
is met, and a higher severity is the same noise, stronger.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelkit.evaluate import blur, digital, noise, weather

PROTOCOL = "corruptions 1"
"""Changes with every function or strength: figures of different protocols do not compare."""
SEVERITIES = (1, 2, 3, 4, 5)

Pixels = npt.NDArray[np.uint8]
"""`[height, width, 3]`, RGB."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Corruption:
    """Is one way to spoil pictures."""

    family: str
    apply: Callable[[Floats, float, np.random.Generator], Floats]
    """Takes a picture between 0 and 1, a strength and randomness; what it returns may lie beyond."""
    strengths: tuple[float, float, float, float, float]
    """By severity, what the function's second argument is."""
    unit: str


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": Corruption("noise", noise.gaussian, (0.05, 0.1, 0.15, 0.22, 0.3), "standard deviation"),
    "shot_noise": Corruption("noise", noise.shot, (80, 40, 20, 10, 5), "photons at white"),
    "impulse_noise": Corruption("noise", noise.impulse, (0.02, 0.05, 0.1, 0.17, 0.27), "share of the values"),
    "defocus_blur": Corruption("blur", blur.defocus, (0.014, 0.022, 0.03, 0.04, 0.052), "radius, share of the side"),
    "motion_blur": Corruption("blur", blur.motion, (0.04, 0.06, 0.085, 0.115, 0.15), "length, share of the side"),
    "zoom_blur": Corruption("blur", blur.zoom, (0.06, 0.11, 0.16, 0.23, 0.31), "growth"),
    "snow": Corruption("weather", weather.snow, (0.04, 0.08, 0.13, 0.19, 0.26), "share covered"),
    "frost": Corruption("weather", weather.frost, (0.25, 0.4, 0.52, 0.64, 0.75), "share of ice"),
    "fog": Corruption("weather", weather.fog, (0.3, 0.45, 0.56, 0.66, 0.75), "share of fog"),
    "brightness": Corruption("weather", weather.brightness, (0.1, 0.2, 0.3, 0.4, 0.5), "added"),
    "contrast": Corruption("digital", digital.contrast, (0.35, 0.5, 0.65, 0.78, 0.88), "share lost"),
    "elastic": Corruption("digital", digital.elastic, (0.006, 0.011, 0.016, 0.022, 0.03), "shift, share of the side"),
    "pixelate": Corruption("digital", digital.pixelate, (0.6, 0.5, 0.4, 0.3, 0.22), "share of a side's pixels kept"),
    "jpeg": Corruption("digital", digital.jpeg, (50, 30, 20, 12, 7), "quality"),
}


def corrupted(name: str, pixels: Pixels, severity: int, *, seed: int = 0, key: str = "") -> Pixels:
    """Returns a corrupted copy of a picture.

    Args:
        name: one of `CORRUPTIONS`.
        pixels: the picture, at least 2 x 2.
        severity: 1 to 5.
        seed: of the evaluation.
        key: of the picture, such as its id: others have other noise.

    Raises:
        KeyError: there is no such corruption.
        ValueError: there is no such severity.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"severity {severity} is none of {SEVERITIES}")
    corruption = CORRUPTIONS[name]
    strength = corruption.strengths[severity - 1]
    floats = corruption.apply(pixels.astype(np.float32) / np.float32(255), strength, randomness(seed, name, key))
    return np.asarray(np.rint(np.clip(floats, 0, 1) * 255), np.uint8)


def randomness(seed: int, *words: str) -> np.random.Generator:
    """Returns a generator that is a function of a seed and words."""
    digest = hashlib.sha256("\0".join((str(seed), *words)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))
