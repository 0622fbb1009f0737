"""Lets a network compute as INT8 will, so that it learns to live with the rounding.

The grids are those of `modelkit.compress.qdq`: symmetric, one scale for each output channel of a weight, one for all
that a layer reads; weights use seven of the eight bits. A batch norm scales whole output channels, so folding it into
the weights later changes nothing. Scales come from the tensor at hand; there is no state to save, and the weights stay
what they are.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelkit.train.recipe import RecipeError

LARGEST_READ = 127
LARGEST_WEIGHT = 64


def on_grid(tensor: Tensor, dims: tuple[int, ...], largest: int) -> Tensor:
    """Rounds to as many steps on either side of 0; gradients pass as if nothing was.

    Args:
        tensor: floats.
        dims: over which one scale is shared.
        largest: integer that the largest value becomes.
    """
    with torch.no_grad():
        scale = (tensor.abs().amax(dims, keepdim=True) / largest).clamp_min(torch.finfo(torch.float32).tiny)
        rounded = torch.round(tensor / scale).clamp(-largest, largest) * scale
    return tensor + (rounded - tensor).detach()


def imitate_int8(model: nn.Module) -> None:
    """Makes every convolution and linear layer of a network read numbers of INT8's grid; undone by `compute_freely`.

    Raises:
        RecipeError: a layer computes in a way of its own, so that it would stay in floating point unseen.
    """
    for path, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if type(layer) not in _IMITATIONS:
                raise RecipeError(f"precision int8 knows no {type(layer).__name__}, which {path} is")
            layer.forward = partial(_IMITATIONS[type(layer)], layer)


def compute_freely(model: nn.Module) -> None:
    """Undoes `imitate_int8`."""
    for layer in model.modules():
        layer.__dict__.pop("forward", None)


def _convolve(layer: Any, read: Tensor) -> Tensor:
    answer: Tensor = layer._conv_forward(*_both(layer, read), layer.bias)
    return answer


def _multiply(layer: Any, read: Tensor) -> Tensor:
    return functional.linear(*_both(layer, read), layer.bias)


_IMITATIONS = {nn.Conv2d: _convolve, nn.Linear: _multiply}


def _both(layer: Any, read: Tensor) -> tuple[Tensor, Tensor]:
    return (
        on_grid(read, tuple(range(read.ndim)), LARGEST_READ),
        on_grid(layer.weight, tuple(range(1, layer.weight.ndim)), LARGEST_WEIGHT),
    )
