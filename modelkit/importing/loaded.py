"""What every reader of models from elsewhere takes and returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from modelkit.importing.preparation import Wishes
from modelkit.train.networks import Architecture, Classifier, build
from modelkit.train.recipe import RecipeError
from modelkit.train.run import Downloaded
from servicekit.manifest import Recipe as Input

Original = Callable[[Sequence[bytes]], npt.NDArray[np.float32]]
"""From encoded images to logits `[n, classes]`."""


@dataclass(frozen=True)
class Loaded:
    """Is a network from elsewhere."""

    architecture: Architecture
    model: Classifier
    """In evaluation mode."""
    notes: tuple[str, ...] = ()
    """What a person should know."""
    original: Original | None = None
    """What the model answers with its own preparation, which judges the translation into ours; None: there is none."""
    origin: Downloaded | None = None
    """Where a hub's weights came from."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Says how to read a source."""

    source: str
    labels: tuple[str, ...] | None
    """Names of the classes in their order; None takes those of the source."""
    data_labels: tuple[str, ...]
    """Of the data set that will judge."""
    wishes: Wishes = field(default_factory=Wishes)
    network: Path | None = None
    """Recipe whose `network` and `input` say what plain weights belong to."""


def built(architecture: Architecture, weights: Mapping[str, Any]) -> Classifier:
    """Builds the network as a run's folder will, and fills it; every weight must have its place.

    Raises:
        RecipeError: they do not fit, or the network does not take pictures of the size that the architecture says.
    """
    model = build(architecture)
    try:
        model.net.load_state_dict(weights)
    except RuntimeError as error:
        raise RecipeError(f"the weights do not fit the network: {' '.join(str(error).split())[:400]}") from error
    model.eval()
    _check_size(model, architecture.input)
    return model


def _check_size(model: Classifier, takes: Input) -> None:
    try:
        with torch.inference_mode():
            model(torch.zeros(1, takes.height, takes.width, 3, dtype=torch.uint8))
    except (RuntimeError, ValueError, AssertionError) as error:  # timm asserts
        raise RecipeError(f"the network does not take {takes.width} x {takes.height}: {first_line(error)}") from error


def check_count(classes: int, labels: Sequence[str]) -> None:
    """Refuses names for more or fewer classes than there are.

    Raises:
        RecipeError: their number differs.
    """
    if classes != len(labels):
        raise RecipeError(f"the network has {classes} classes and there are {len(labels)} labels")


def first_line(error: Exception) -> str:
    """Returns what an error says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
