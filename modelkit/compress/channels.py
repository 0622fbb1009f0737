"""Takes channels out of a network, and with each one all that hangs on it: norms, shortcuts, inputs of later layers."""

from copy import deepcopy
from typing import Any

import torch
import torch_pruning
from torch.nn import functional

from modelkit.compress.plan import Plan
from modelkit.train.networks import Classifier, head
from modelkit.train.pixels import Split
from servicekit.manifest import Recipe as Input

_PICTURES = 512
"""Of the training split, whose gradients say what a channel means."""

Scores = dict[str, torch.Tensor]
"""Importance of each channel, fp32 `[channels]`, by the path of the layer that makes them."""


def layer_scores(model: Classifier, recipe: Input, importance: str, train: Split) -> Scores:
    """Scores the channels of every layer whose channels can go; those of the answer cannot.

    Args:
        model: left in evaluation mode.
        recipe: what it takes.
        importance: `l1` or `gradient`.
        train: pictures that `gradient` looks at.
    """
    if importance == "gradient":
        _take_gradients(model, train)
        score: Any = torch_pruning.importance.TaylorImportance()
    else:
        score = torch_pruning.importance.MagnitudeImportance(p=1)
    graph = _graph(model, recipe)
    names = {layer: path for path, layer in model.named_modules()}
    groups = graph.get_all_groups(ignored_layers=[head(model)], root_module_types=[torch.nn.Conv2d, torch.nn.Linear])
    scores = {names[group[0].dep.target.module]: score(group) for group in groups}
    model.zero_grad(set_to_none=True)
    return {path: each.detach() for path, each in scores.items() if each is not None}


def pruned(model: Classifier, recipe: Input, scores: Scores, plan: Plan) -> Classifier:
    """Returns a copy of a network that keeps, of each layer in the plan, the channels with the highest scores."""
    copy = deepcopy(model)
    graph = _graph(copy, recipe)
    for path, keep in plan.items():
        excess = len(scores[path]) - keep
        if excess > 0:
            layer = copy.get_submodule(path)
            order = torch.argsort(scores[path], stable=True)
            graph.get_pruning_group(layer, _pruner(layer), sorted(order[:excess].tolist())).prune()
    return copy


def _pruner(layer: torch.nn.Module) -> Any:
    linear = isinstance(layer, torch.nn.Linear)
    return torch_pruning.prune_linear_out_channels if linear else torch_pruning.prune_conv_out_channels


def _graph(model: Classifier, recipe: Input) -> Any:
    device = next(model.parameters()).device
    example = torch.zeros(1, recipe.height, recipe.width, 3, dtype=torch.uint8, device=device)
    model.eval()
    return torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example, verbose=False)


def _take_gradients(model: Classifier, train: Split) -> None:
    device = next(model.parameters()).device
    images, labels = (torch.tensor(each[:_PICTURES], device=device) for each in (train.pixels, train.labels))
    model.eval()
    model.zero_grad(set_to_none=True)
    functional.cross_entropy(model(images), labels).backward()
