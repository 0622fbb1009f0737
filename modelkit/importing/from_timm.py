"""Pretrained networks of timm, by name; their weights come from the hub, as safetensors only."""

from typing import Any

import torch
from safetensors.torch import load_file

from modelkit.importing.hub import fetch
from modelkit.importing.loaded import Loaded, Wanted, built, check_count, first_line
from modelkit.importing.preparation import changed, of_timm
from modelkit.train.networks import Architecture
from modelkit.train.recipe import Network, RecipeError
from modelkit.train.run import Downloaded

TIMM = "timm:"
_WEIGHTS = "model.safetensors"


def load_timm(wanted: Wanted) -> Loaded:
    """Loads a network, `timm:NAME` or `timm:NAME@REVISION`.

    timm does not name the classes, so that the data set or `--labels` does.

    Raises:
        RecipeError: timm cannot be imported, has no such network, or one of other classes; or there are no weights.
    """
    name, _, revision = wanted.source.removeprefix(TIMM).partition("@")
    told = _configuration(name)
    preparation = changed(of_timm(told), wanted.wishes)
    labels = wanted.labels or wanted.data_labels
    check_count(int(told["num_classes"]), labels)
    weights, origin = _weights(name, told.get("hf_hub_id"), revision or None)
    network = Network(source="timm", config={"name": name}, mean=preparation.mean, std=preparation.std)
    architecture = Architecture(network=network, labels=labels, input=preparation.input)
    model = built(architecture, _translated(name, len(labels), weights))
    return Loaded(architecture, model, preparation.notes, origin=origin)


def _configuration(name: str) -> dict[str, Any]:
    """Returns what timm says of a pretrained network."""
    try:
        import timm  # noqa: PLC0415 -- not on every machine
    except (ImportError, RuntimeError) as error:  # a torchvision that does not fit torch fails with the latter
        raise RecipeError(
            f"timm cannot be imported here: {first_line(error)}; it needs the torchvision that was built for this torch"
        ) from error
    try:
        known = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        raise RecipeError(f"timm has no pretrained network {name!r}: {first_line(error)}") from error
    if known is None:
        raise RecipeError(f"timm has no pretrained network {name!r}")
    told: dict[str, Any] = known.to_dict()
    return told


def _weights(name: str, repository: str | None, revision: str | None) -> tuple[dict[str, torch.Tensor], Downloaded]:
    """Fetches weights; timm itself would also read pickles, in this process."""
    if not repository:
        raise RecipeError(f"timm's weights of {name} are on no hub, so not to be had as safetensors")
    folder, origin = fetch(repository, revision, (_WEIGHTS,))
    if not (folder / _WEIGHTS).exists():
        raise RecipeError(f"{repository} has no {_WEIGHTS}, and pickles are not fetched from a hub")
    try:
        return load_file(folder / _WEIGHTS), origin
    except Exception as error:  # safetensors has an error of its own, which is no ValueError
        raise RecipeError(f"{repository}: {_WEIGHTS} is damaged: {first_line(error)}") from error


def _translated(name: str, classes: int, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Lets timm bring weights of older layouts into that of its network."""
    import timm  # noqa: PLC0415 -- not on every machine

    try:
        net = timm.create_model(
            name, pretrained=True, num_classes=classes, pretrained_cfg_overlay={"state_dict": weights}
        )
    except (RuntimeError, KeyError) as error:
        raise RecipeError(f"the weights do not fit timm's network {name}: {first_line(error)}") from error
    translated: dict[str, torch.Tensor] = net.state_dict()
    return translated
