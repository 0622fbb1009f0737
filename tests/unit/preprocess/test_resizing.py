"""The SIMD resizer, held against Pillow: it is trusted with reductions only."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from services.preprocess.geometry import Box
from services.preprocess.resizing import LOCKED_PIXELS, Target, resize, resize_photograph

SIDES = st.integers(1, 700)
SHARES = st.floats(0, 1)
FILTERS = st.sampled_from(["bicubic", "bilinear", "lanczos"])


def _box(width_px: int, height_px: int, left: float, top: float, right: float, bottom: float) -> Box:
    """Returns a box within the picture, given as shares of its sides."""
    x = sorted((left * width_px, right * width_px))
    y = sorted((top * height_px, bottom * height_px))
    return Box(x[0], y[0], x[1], y[1])


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, st.tuples(SHARES, SHARES, SHARES, SHARES), st.tuples(SIDES, SIDES), FILTERS, st.integers(0, 255))
def test_a_flat_picture_stays_flat(
    width_px: int,
    height_px: int,
    shares: tuple[float, float, float, float],
    size: tuple[int, int],
    interpolation: str,
    level: int,
) -> None:
    """Whatever the geometry, no byte from outside the picture gets in."""
    box = _box(width_px, height_px, *shares)
    assume(box.width_px > 0.01 and box.height_px > 0.01)
    flat = np.full((height_px, width_px, 3), level, np.uint8)
    resized = resize_photograph(flat, box, Target(*size, interpolation))
    assert (size[1], size[0], 3) == resized.shape
    assert {level} == set(np.unique(resized))


@settings(max_examples=60, deadline=None)
@given(st.integers(224, 900), st.integers(224, 900), FILTERS, st.integers(0, 2**32 - 1))
def test_smooth_pictures_agree_with_pillow(width_px: int, height_px: int, interpolation: str, seed: int) -> None:
    """A picture without hard edges comes out within two levels of Pillow's."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((width_px, height_px), Image.Resampling.BICUBIC)
    box, target = Box(0, 0, width_px, height_px), Target(224, 224, interpolation)
    difference = resize_photograph(np.asarray(picture), box, target).astype(int) - resize(picture, box, target)
    assert np.abs(difference).max() <= 2


def test_large_pictures_do_not_keep_the_lock() -> None:
    """Above the limit Pillow resizes, which is exact."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (1000, LOCKED_PIXELS // 1000 + 1, 3), np.uint8)
    box, target = Box(0, 0, pixels.shape[1], 1000), Target(64, 64, "bicubic")
    assert np.array_equal(resize(Image.fromarray(pixels), box, target), resize_photograph(pixels, box, target))
