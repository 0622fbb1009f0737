"""Training that imitates INT8."""

from pathlib import Path

import pytest
import torch
from slow.toy_training import toy_pictures, toy_recipe, toy_train
from torch import nn

from modelkit.train.imitation import LARGEST_WEIGHT, compute_freely, imitate_int8, on_grid
from modelkit.train.measure import evaluate
from modelkit.train.networks import load
from modelkit.train.recipe import RecipeError
from modelkit.train.train import Places

pytestmark = [pytest.mark.timeout(600)]


def test_the_grid_lies_around_nought() -> None:
    """A channel's largest value stays, all become multiples of a share of it, and gradients pass untouched."""
    weight = torch.tensor([[1.27, 0.104, -0.006], [0.0, 0.0, 0.0]], requires_grad=True)
    answer = on_grid(weight, (1,), 127)
    torch.testing.assert_close(answer.detach(), torch.tensor([[1.27, 0.10, -0.01], [0.0, 0.0, 0.0]]))
    answer.sum().backward()
    assert torch.equal(torch.ones(2, 3), weight.grad if weight.grad is not None else torch.zeros(0))


def test_a_norm_folded_in_changes_no_rounding() -> None:
    """Scaling whole output channels scales their grid: imitating before folding is imitating after it."""
    weight, norm = torch.randn(4, 3, 3, 3), torch.rand(4, 1, 1, 1) + 0.5
    rounded = on_grid(weight, (1, 2, 3), LARGEST_WEIGHT)
    torch.testing.assert_close(rounded * norm, on_grid(weight * norm, (1, 2, 3), LARGEST_WEIGHT))


def test_a_run_that_imitates_ends_as_any_other(tmp_path: Path) -> None:
    """Its network loads and computes freely; imitating again answers as was measured."""
    parent = toy_train(tmp_path, "epochs=10", "augment={}")
    start = f"network={{source: run, pretrained: {parent}}}"
    folder = toy_train(tmp_path, "name=aware", start, "epochs=1", "precision=int8", "optimiser.lr=0.001")
    _, model = load(folder)
    split = toy_pictures(toy_recipe(tmp_path), Places()).splits["val"]
    free = model(torch.tensor(split.pixels)).detach()
    imitate_int8(model)
    imitated = model(torch.tensor(split.pixels)).detach()
    assert not torch.equal(free, imitated)
    assert 0.9 < evaluate(model, split).top1
    compute_freely(model)
    assert torch.equal(free, model(torch.tensor(split.pixels)).detach())


def test_a_layer_that_would_stay_float_is_named() -> None:
    """A subclass may compute otherwise, and would be left out unseen."""

    class Padded(nn.Conv2d):  # type: ignore[misc,unused-ignore] # torch is absent from the type checker's environment
        """Is a convolution of its own kind."""

    with pytest.raises(RecipeError, match="knows no Padded, which 0 is"):
        imitate_int8(nn.Sequential(Padded(1, 1, 1)))
