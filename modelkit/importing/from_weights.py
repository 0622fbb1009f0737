"""Plain weights of a network that a recipe describes: safetensors, or a pickle that is converted first."""

import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

from modelkit.importing.loaded import Loaded, Wanted, built, first_line
from modelkit.importing.pickles import SUFFIXES, WARNING, convert
from modelkit.importing.preparation import Preparation, changed
from modelkit.train.networks import Architecture
from modelkit.train.recipe import Network, RecipeError, load_yaml, parse
from servicekit.manifest import Recipe as Input

SAFETENSORS = ".safetensors"


def load_weights(wanted: Wanted) -> Loaded:
    """Builds the network and fills it.

    Raises:
        RecipeError: no recipe says what network it is, or the weights do not fit it.
    """
    if wanted.network is None:
        raise RecipeError(f"{wanted.source} holds weights only: --network names a recipe with `network` and `input`")
    told = load_yaml(wanted.network)
    network = parse(Network, told.get("network") or {}, f"{wanted.network}: network")
    takes = parse(Input, told.get("input") or {}, f"{wanted.network}: input")
    preparation = changed(Preparation(takes, network.mean, network.std), wanted.wishes)
    plain = network.model_copy(update={"pretrained": None, "mean": preparation.mean, "std": preparation.std})
    labels = wanted.labels or wanted.data_labels
    architecture = Architecture(network=plain, labels=labels, input=preparation.input)
    weights, notes = _weights(Path(wanted.source))
    return Loaded(architecture, built(architecture, weights), notes)


def _weights(file: Path) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Reads weights by name; those of one of our runs lie below `net`."""
    if not file.is_file():
        raise RecipeError(f"{file}: there is no such file")
    with tempfile.TemporaryDirectory() as scratch:
        plain = file
        notes: tuple[str, ...] = ()
        if file.suffix in SUFFIXES:
            plain, notes = Path(scratch) / f"weights{SAFETENSORS}", (WARNING.format(file=file.name),)
            convert(file, plain)
        try:
            weights = load_file(plain)
        except Exception as error:  # safetensors has an error of its own, which is no ValueError
            raise RecipeError(f"{file} is no file of safetensors: {first_line(error)}") from error
    ours = all(name.startswith("net.") for name in weights)
    return {name.removeprefix("net.") if ours else name: value for name, value in weights.items()}, notes
