"""Variants of photographs: many, of the recipe's shape, and the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modelkit.variants import NoPhotographsError, photographs, unchanged, variants
from servicekit.manifest import Recipe

pytestmark = pytest.mark.unit

RECIPE = Recipe(width=32, height=24, crop=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Lends a folder with two pictures of noise and a text."""
    rng = np.random.default_rng(3)
    for name in ("b.png", "a.png"):
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "README.md").write_text("Where they come from.")
    return tmp_path


def test_photographs_are_found_in_order(folder: Path) -> None:
    """Only pictures count, sorted by name."""
    assert ["a.png", "b.png"] == [path.name for path in photographs(folder)]


def test_a_folder_without_photographs_is_an_error(tmp_path: Path) -> None:
    """Nobody calibrates or judges with nothing."""
    with pytest.raises(NoPhotographsError, match="holds no photograph"):
        photographs(tmp_path)


def test_pictures_have_the_recipes_shape(folder: Path) -> None:
    """Photographs and variants come as the model takes them."""
    files = photographs(folder)
    shapes = unchanged(files, RECIPE).shape, variants(files, RECIPE, each=3, seed=1).shape

    assert ((2, 24, 32, 3), (6, 24, 32, 3)) == shapes


def test_a_seed_says_which_variants(folder: Path) -> None:
    """The same seed gives the same variants, another one others, and no two variants are equal."""
    files = photographs(folder)
    once, again, other = (variants(files, RECIPE, each=3, seed=seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)
    assert 6 == len({picture.tobytes() for picture in once})
