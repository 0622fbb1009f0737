"""Pruning recipes."""

from pathlib import Path

import pytest

from modelkit.compress.recipe import PruneRecipe
from modelkit.train.recipe import RecipeError, load_yaml, parse
from servicekit.manifest import Recipe as Input

RECIPE = Path("modelkit/recipes/fashion_mnist_prune.yaml")


def test_the_recipe_that_ships_is_whole() -> None:
    """Each step keeps the same share of what is left; the training after the last is the longer one."""
    recipe = parse(PruneRecipe, load_yaml(RECIPE), str(RECIPE))
    assert [pytest.approx(0.5**0.5), 0.5] == [recipe.kept(1), recipe.kept(2)]
    first, last = (recipe.tuning(step, Path("somewhere"), Input(width=28, height=28, crop=1.0)) for step in (1, 2))
    assert (recipe.epochs_between, recipe.epochs) == (first.epochs, last.epochs)
    assert ("run", "somewhere", recipe.teacher) == (first.network.source, first.network.pretrained, first.teacher)


def test_an_unknown_key_is_named() -> None:
    """With those that there are."""
    with pytest.raises(RecipeError, match=r"scan.picture is unknown; there are pictures, ratios"):
        parse(PruneRecipe, load_yaml(RECIPE, ("scan.picture=3",)), "mine")
