"""The grid of a sweep and its report."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from modelkit.train.grid import Cell, Grid, best, read_grid
from modelkit.train.recipe import RecipeError, load_recipe
from modelkit.train.sweep_report import plot, render

SMOKE = Path(__file__).parents[4] / "modelkit/recipes/fashion_mnist_smoke.yaml"
GRID = Grid((0.05, 0.1), (64, 128), 2)
CELLS = [
    Cell(0.05, 64, 0.80, 0.5, 10),
    Cell(0.1, 64, 0.10, float("nan"), 10),
    Cell(0.05, 128, 0.70, 0.7, 9),
    Cell(0.1, 128, 0.80, 0.4, 9),
]


def test_every_rate_meets_every_batch() -> None:
    """In rising order, equal ones once, everything else as the recipe says."""
    recipe = load_recipe(SMOKE)
    recipes = list(read_grid("0.1, 0.05,0.1", "128,64", 3).recipes(recipe))
    assert [(64, 0.05), (64, 0.1), (128, 0.05), (128, 0.1)] == [(each.batch, each.optimiser.lr) for each in recipes]
    assert ("lr0.05-batch64", 3) == (recipes[0].name, recipes[0].epochs)
    assert recipe.optimiser.weight_decay == recipes[0].optimiser.weight_decay


@pytest.mark.parametrize(
    ("rates", "batches", "told"),
    [
        ("x", "64", "--lr x: numbers with commas between them"),
        ("", "64", "--lr : at least one number, each above 0"),
        ("0", "64", "at least one number, each above 0"),
        ("inf", "64", "at least one number, each above 0"),
        ("nan", "64", "at least one number, each above 0"),
        ("0.1", "6.5", "numbers of pictures are whole"),
        (",".join(map(str, range(1, 52))), "2,4", "51 rates with 2 batches are more than 100 trainings"),
    ],
)
def test_wrong_grids_are_told(rates: str, batches: str, told: str) -> None:
    """With the option that is at fault."""
    with pytest.raises(RecipeError, match=told):
        read_grid(rates, batches, 1)


def test_a_batch_that_does_not_fit_is_told() -> None:
    """Before anything is trained."""
    with pytest.raises(RecipeError, match=r"rate 0\.1 with batch 63: .* must be a multiple of 2"):
        list(read_grid("0.1", "63", 1).recipes(load_recipe(SMOKE)))


def test_the_best_is_sound() -> None:
    """The highest top-1, of equals the lowest loss; what ran away is never best."""
    assert CELLS[3] == best(CELLS)
    assert best([CELLS[1]]) is None


def test_the_report_says_how_rate_and_batch_change_the_result() -> None:
    """Best of all, best of each batch, what ran away, what lies at the edge, and a table of each figure."""
    text = render("smoke", GRID, CELLS)
    assert "Best of all: rate 0.1 with batch 128, top-1 0.8000. It is the highest rate and the largest batch" in text
    assert "Batch 64: the best rate is 0.05 (0.00078 for each picture of the batch), top-1 0.8000; 1 ran away." in text
    assert "| 0.1 | ran away | 0.8000 |" in text
    assert "| 0.05 | 0.500 | 0.700 |" in text


def test_an_unfinished_sweep_has_a_report() -> None:
    """What is missing is counted, and its cells are dashes."""
    text = render("smoke", GRID, CELLS[:1])
    assert "3 trainings are still to come." in text
    assert "| 0.1 | \N{EN DASH} | \N{EN DASH} |" in text
    assert "No training has come to a result" in render("smoke", GRID, CELLS[1:2])


def test_the_plot_is_a_picture() -> None:
    """Also of an unfinished sweep."""
    for cells in (CELLS, CELLS[:1], []):
        assert (1200, 480) == Image.open(BytesIO(plot(GRID, cells))).size
