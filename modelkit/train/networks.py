"""Builds networks that take what the services send: uint8 `[n, height, width, 3]` in, logits out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from torch import nn

from modelkit.train.files import write_atomically
from modelkit.train.recipe import Network, RecipeError, parse
from modelkit.train.shapes import Shapes, differing, reshape, shapes_of
from servicekit.manifest import Recipe as Input

ARCHITECTURE_FILE = "architecture.json"
WEIGHTS_FILE = "model.safetensors"
ATTENTION = "eager"
"""How transformers computes attention: spelled out. Its fused kernel exports with operators that guard against rows
without any attention, which image classifiers do not have and engines do not all read."""


class Architecture(BaseModel):
    """Is everything needed to build a network again, without its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: Network
    """How it is built from scratch."""
    labels: tuple[str, ...]
    """Names of the classes, in their order."""
    input: Input
    """What it takes."""
    shapes: Shapes = {}
    """Layers that no longer have the sizes that building gives them: pruned ones."""


class Classifier(nn.Module):  # type: ignore[misc,unused-ignore] # torch is absent from the type checker's environment
    """Normalises pixels, uint8 `[n, height, width, 3]`, and asks a network for NCHW floats; answers fp32 logits."""

    def __init__(self, net: nn.Module, network: Network) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(network.mean), persistent=False)
        self.register_buffer("std", torch.tensor(network.std), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Returns what the network computes in: fp32, but for an export in half precision."""
        kind: torch.dtype = next(self.net.parameters()).dtype
        return kind

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Casts before anything else, as TensorRT wants it; the transposed view is what torch calls channels-last."""
        pixels = (image.to(torch.float32) - self.mean) / self.std
        answer = self.net(pixels.permute(0, 3, 1, 2).to(self.dtype))
        logits: torch.Tensor = getattr(answer, "logits", answer)  # transformers answers with a record
        return logits.float()


def build(architecture: Architecture) -> Classifier:
    """Builds a network with weights drawn at random; the seed is torch's.

    Raises:
        RecipeError: the library does not know what is asked for, or is missing.
    """
    net = _SCRATCH[architecture.network.source](architecture.network, len(architecture.labels))
    reshape(net, architecture.shapes)
    return _laid_out(Classifier(net, architecture.network))


def _laid_out(model: Classifier) -> Classifier:
    model.to(memory_format=torch.channels_last)
    return model


def create(network: Network, labels: tuple[str, ...], recipe: Input) -> tuple[Architecture, Classifier]:
    """Makes the network of a recipe, with pretrained weights where it names some, and the last layer for the labels.

    Raises:
        RecipeError: the library does not know what is asked for, or is missing.
    """
    if network.pretrained is None:
        _check_options(network)
        architecture = Architecture(network=network, labels=labels, input=recipe)
        return architecture, build(architecture)
    if network.source == "run":
        return _from_run(Path(network.pretrained), labels, recipe)
    config, net = _PRETRAINED[network.source](network, len(labels))
    built = network.model_copy(update={"config": config, "pretrained": None})
    architecture = Architecture(network=built, labels=labels, input=recipe)
    return architecture, _laid_out(Classifier(net, built))


def _check_options(network: Network) -> None:
    """Refuses what transformers would keep without a word, and build the network as if it was not there."""
    kind = network.config.get("model_type")
    if network.source != "transformers" or kind is None:
        return
    from transformers import AutoConfig  # noqa: PLC0415 -- seconds

    try:
        defaults = AutoConfig.for_model(kind)
    except ValueError as error:
        raise RecipeError(f"network.config.model_type: transformers knows no {kind!r}") from error
    known = {*defaults.to_dict(), *defaults.attribute_map}
    for key in network.config:
        if key not in known:
            raise RecipeError(f"network.config.{key} is unknown; there are {', '.join(sorted(known))}")


def describe(architecture: Architecture, model: Classifier) -> Architecture:
    """Returns the architecture with the sizes that the network's layers have now."""
    plain = build(architecture.model_copy(update={"shapes": {}}))
    shapes = differing(shapes_of(model.net), shapes_of(plain.net))
    return architecture.model_copy(update={"shapes": shapes})


def save(folder: Path, architecture: Architecture, model: Classifier) -> None:
    """Writes architecture and weights, each whole or not at all."""
    text = json.dumps(describe(architecture, model).model_dump(mode="json"), indent=2)
    write_atomically(folder / ARCHITECTURE_FILE, f"{text}\n".encode())
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    unfinished = folder / f".{WEIGHTS_FILE}"
    save_file(weights, unfinished)
    unfinished.replace(folder / WEIGHTS_FILE)


def load(folder: Path) -> tuple[Architecture, Classifier]:
    """Loads what `save` wrote, ready for inference.

    Raises:
        RecipeError: the folder holds no finished run.
    """
    try:
        text = (folder / ARCHITECTURE_FILE).read_text(encoding="utf-8")
        weights = load_file(folder / WEIGHTS_FILE)
    except OSError as error:
        raise RecipeError(_unfinished(folder)) from error
    architecture = parse(Architecture, json.loads(text), str(folder / ARCHITECTURE_FILE))
    model = build(architecture)
    model.load_state_dict(weights)
    return architecture, model.eval()


def _unfinished(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no run {folder}"
    if (folder / ARCHITECTURE_FILE).exists():
        return f"{folder} holds no {WEIGHTS_FILE}: runs in INT8 or fp16 have none, the run that they were made of has"
    return f"{folder} holds no finished run: there is no {ARCHITECTURE_FILE}"


def head(model: nn.Module) -> nn.Linear:
    """Returns the layer that answers: the last linear one.

    Raises:
        RecipeError: there is none.
    """
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise RecipeError("the network has no linear layer to classify with")
    return linear[-1]


def _from_run(folder: Path, labels: tuple[str, ...], recipe: Input) -> tuple[Architecture, Classifier]:
    known, model = load(folder)
    if known.labels != labels:
        _replace_head(model, len(labels))
    return known.model_copy(update={"labels": labels, "input": recipe}), model


def _replace_head(net: nn.Module, classes: int) -> None:
    old = head(net)
    path = next(path for path, layer in net.named_modules() if layer is old)
    parent, _, name = path.rpartition(".")
    setattr(net.get_submodule(parent), name, nn.Linear(old.in_features, classes, bias=old.bias is not None))


def _transformers(network: Network, classes: int) -> nn.Module:
    from transformers import AutoConfig, AutoModelForImageClassification  # noqa: PLC0415 -- seconds

    options = dict(network.config)
    kind = options.pop("model_type", None)
    if kind is None:
        raise RecipeError("network.config needs `model_type`, such as resnet, mobilenet_v2 or vit")
    try:
        config = AutoConfig.for_model(kind, **{**options, "num_labels": classes})
        net = AutoModelForImageClassification.from_config(config, attn_implementation=ATTENTION)
    except (ValueError, TypeError) as error:
        raise RecipeError(f"transformers builds no classifier {kind!r} of this: {error}") from error
    return _with_small_stem(net, network.small_stem)


def _with_small_stem(net: Any, stride: int | None) -> nn.Module:
    """Replaces what transformers' ResNet always starts with, a 7 x 7 convolution and a pool: 28 pixels would be 7."""
    if stride is not None:
        if not hasattr(net, "resnet"):
            raise RecipeError(f"network.small_stem is of ResNets, which {net.config.model_type!r} is not")
        embedder = net.resnet.embedder
        old = embedder.embedder.convolution
        stem = nn.Conv2d(old.in_channels, old.out_channels, 3, stride, 1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        embedder.embedder.convolution = stem
        embedder.pooler = nn.Identity()
    return net  # type: ignore[no-any-return,unused-ignore]


def _transformers_pretrained(network: Network, classes: int) -> tuple[dict[str, Any], nn.Module]:
    from transformers import AutoModelForImageClassification  # noqa: PLC0415

    try:
        net = AutoModelForImageClassification.from_pretrained(
            network.pretrained,
            num_labels=classes,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
            attn_implementation=ATTENTION,
        )
    except (OSError, ValueError) as error:
        raise RecipeError(f"transformers loads no classifier from {network.pretrained!r}: {error}") from error
    return configuration(net), _with_small_stem(net, network.small_stem)


def configuration(net: Any) -> dict[str, Any]:
    """Returns what a network of transformers is built from: what differs from the defaults, without its labels."""
    return {key: value for key, value in net.config.to_diff_dict().items() if key not in _NOT_OF_THE_NETWORK}


_NOT_OF_THE_NETWORK = {"id2label", "label2id", "transformers_version", "architectures", "dtype", "_name_or_path"}


def _timm(network: Network, classes: int) -> nn.Module:
    return _create_with_timm({**network.config}, classes, pretrained=False)


def _timm_pretrained(network: Network, classes: int) -> tuple[dict[str, Any], nn.Module]:
    config = {**network.config, "name": network.pretrained}
    return config, _create_with_timm(dict(config), classes, pretrained=True)


def _create_with_timm(options: dict[str, Any], classes: int, *, pretrained: bool) -> nn.Module:
    try:
        import timm  # noqa: PLC0415 -- not on every machine
    except (ImportError, RuntimeError) as error:  # a torchvision that does not fit torch fails with the latter
        raise RecipeError(f"timm cannot be imported here ({error}); networks of transformers need it not") from error
    net: nn.Module = timm.create_model(options.pop("name"), pretrained=pretrained, num_classes=classes, **options)
    return net


def _efficientnet_lite(network: Network, classes: int) -> nn.Module:
    from modelkit.efficientnet_lite import build_lite  # noqa: PLC0415

    net = build_lite(network.config.get("name", "efficientnet-lite0"), pretrained=False)
    _replace_head(net, classes)
    return net


def _efficientnet_lite_pretrained(network: Network, classes: int) -> tuple[dict[str, Any], nn.Module]:
    from modelkit.efficientnet_lite import build_lite  # noqa: PLC0415

    if network.pretrained != "imagenet":
        raise RecipeError(f"efficientnet_lite0 has one set of weights, `imagenet`, not {network.pretrained!r}")
    net = build_lite("efficientnet-lite0", pretrained=True)
    _replace_head(net, classes)
    return {"name": "efficientnet-lite0"}, net


_SCRATCH: dict[str, Callable[[Network, int], nn.Module]] = {
    "transformers": _transformers,
    "timm": _timm,
    "efficientnet_lite": _efficientnet_lite,
}
_PRETRAINED: dict[str, Callable[[Network, int], tuple[dict[str, Any], nn.Module]]] = {
    "transformers": _transformers_pretrained,
    "timm": _timm_pretrained,
    "efficientnet_lite": _efficientnet_lite_pretrained,
}
