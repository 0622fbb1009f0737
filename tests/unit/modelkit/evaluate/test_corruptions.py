"""Corruptions: one shape in and out, the same every time, and worse with every severity."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modelkit.evaluate.blur import disc, line, spread
from modelkit.evaluate.corruptions import CORRUPTIONS, SEVERITIES, Pixels, corrupted
from modelkit.evaluate.digital import contrast
from modelkit.evaluate.noise import impulse

NAMES = sorted(CORRUPTIONS)
PHOTOGRAPHS = Path(__file__).parents[3] / "photographs"


def _picture(height: int = 24, width: int = 32, seed: int = 0) -> Pixels:
    """Returns a picture with edges and shades, neither black nor white."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    shades = 40 + 120 * rows / height + 40 * ((columns // 4) % 2)
    return np.asarray(np.clip(shades[..., None] + rng.uniform(-20, 20, 3), 0, 255), np.uint8)


@pytest.fixture(scope="module")
def photographs() -> list[Pixels]:
    """Returns real pictures, small."""
    files = [PHOTOGRAPHS / f"{name}.png" for name in ("astronaut", "chelsea", "coffee")]
    return [np.asarray(Image.open(file).convert("RGB").resize((56, 48))) for file in files]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(24, 32), (8, 8), (2, 2)])
def test_shape_and_type_stay(name: str, size: tuple[int, int]) -> None:
    """Whatever the size, at the least and the highest severity; the picture itself is left alone."""
    picture = _picture(*size)
    before = picture.copy()
    for severity in (1, 5):
        got = corrupted(name, picture, severity)
        assert (picture.shape, "uint8") == (got.shape, str(got.dtype))
    np.testing.assert_array_equal(before, picture)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_every_time(name: str) -> None:
    """A picture's noise is a function of seed and key."""
    picture = _picture()
    np.testing.assert_array_equal(corrupted(name, picture, 3, key="a"), corrupted(name, picture, 3, key="a"))


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "snow", "frost", "fog", "elastic"])
def test_other_keys_and_seeds_have_other_noise(name: str) -> None:
    """No two pictures of a data set share their noise."""
    picture = _picture()
    first = corrupted(name, picture, 3, key="a")
    assert (first != corrupted(name, picture, 3, key="b")).any()
    assert (first != corrupted(name, picture, 3, seed=1, key="a")).any()


@pytest.mark.parametrize("name", NAMES)
def test_severities_rise(name: str, photographs: list[Pixels]) -> None:
    """The mean difference from a photograph grows with every severity."""
    distances = [
        float(np.mean([np.abs(corrupted(name, each, severity).astype(int) - each) for each in photographs]))
        for severity in SEVERITIES
    ]
    assert distances[0] > 0
    assert sorted(distances) == distances
    assert distances[4] > 1.5 * distances[0]


def test_families_are_whole() -> None:
    """Three kinds of noise and blur, four of weather and of processing."""
    families = [each.family for each in CORRUPTIONS.values()]
    assert {"noise": 3, "blur": 3, "weather": 4, "digital": 4} == {name: families.count(name) for name in families}


def test_severity_must_exist() -> None:
    """There is none beyond the five."""
    with pytest.raises(ValueError, match="severity 6"):
        corrupted("fog", _picture(), 6)


def test_contrast_keeps_the_mean() -> None:
    """Half of every distance to the mean goes."""
    picture = np.array([[[0.2, 0.2, 0.2], [0.6, 0.6, 0.6]]], np.float32)
    lost = contrast(picture, 0.5, np.random.default_rng(0))
    np.testing.assert_allclose([0.3, 0.5], lost[0, :, 0], atol=1e-6)


def test_impulses_are_black_and_white_and_as_many_as_said() -> None:
    """A tenth of the values, half of them black; more of them hit the same ones too."""
    grey = np.full((100, 100, 3), 0.5, np.float32)
    few, many = (impulse(grey, share, np.random.default_rng(1)) for share in (0.1, 0.3))
    assert {0.0, 0.5, 1.0} == set(np.unique(few).tolist())
    assert 0.05 == pytest.approx((few == 0).mean(), abs=0.005) == pytest.approx((few == 1).mean(), abs=0.01)
    assert (many != 0.5)[few != 0.5].all()


def test_kernels_sum_to_one_and_are_centred() -> None:
    """Blur neither darkens nor moves; a radius of nothing is one pixel."""
    for points in (disc(2.5), line(5.0, 0.3)):
        kernel = spread(points)
        places = np.arange(len(kernel)) - len(kernel) // 2
        assert 1 == pytest.approx(kernel.sum(), abs=1e-6)
        np.testing.assert_allclose([0, 0], [kernel.sum(1) @ places, kernel.sum(0) @ places], atol=1e-5)
    assert 1 == spread(disc(0.0)).max()


def test_a_line_is_spread_by_hand() -> None:
    """Two points half a pixel left and right of the middle: a quarter, a half, a quarter."""
    kernel = spread(np.array([[0.0, -0.5], [0.0, 0.5]]))
    np.testing.assert_allclose([0.25, 0.5, 0.25], kernel[2, 1:4], atol=1e-6)
