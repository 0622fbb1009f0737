"""Channel counts of a network's layers: what a pruned network differs in from the one its configuration builds."""

from typing import Any

import torch
from torch import nn

_SIZES: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("in_channels", "out_channels", "groups"),
    nn.Linear: ("in_features", "out_features"),
    nn.BatchNorm2d: ("num_features",),
}

Shapes = dict[str, dict[str, int]]
"""Sizes by the layer's path and the attribute's name."""


def shapes_of(module: nn.Module) -> Shapes:
    """Returns the sizes of every convolution, linear layer and batch norm."""
    return {path: _sizes(layer) for path, layer in module.named_modules() if type(layer) in _SIZES}


def differing(shapes: Shapes, plain: Shapes) -> Shapes:
    """Returns the entries of `shapes` that `plain` has otherwise."""
    return {path: sizes for path, sizes in shapes.items() if plain.get(path) != sizes}


def reshape(module: nn.Module, shapes: Shapes) -> None:
    """Gives layers other sizes, with weights that mean nothing until they are loaded.

    Raises:
        KeyError: the network has no such layer.
    """
    layers = dict(module.named_modules())
    for path, sizes in shapes.items():
        layer = layers[path]
        for attribute, size in sizes.items():
            setattr(layer, attribute, size)
        for name, shape in _tensor_shapes(layer).items():
            _replace(layer, name, shape)


def _sizes(layer: nn.Module) -> dict[str, int]:
    return {attribute: int(getattr(layer, attribute)) for attribute in _SIZES[type(layer)]}


def _tensor_shapes(layer: Any) -> dict[str, tuple[int, ...]]:
    if isinstance(layer, nn.Conv2d):
        weight = (layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size)
        return {"weight": weight, "bias": (layer.out_channels,)}
    if isinstance(layer, nn.Linear):
        return {"weight": (layer.out_features, layer.in_features), "bias": (layer.out_features,)}
    return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (layer.num_features,))


def _replace(layer: nn.Module, name: str, shape: tuple[int, ...]) -> None:
    tensor = getattr(layer, name)
    if tensor is None or tuple(tensor.shape) == shape:
        return
    zeros = torch.zeros(shape, dtype=tensor.dtype)
    setattr(layer, name, nn.Parameter(zeros) if isinstance(tensor, nn.Parameter) else zeros)
