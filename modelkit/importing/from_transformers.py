"""Image classifiers of transformers: a folder, or a hub id, with safetensors; a folder's pickle is converted first."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from modelkit.importing.hub import fetch, split_id
from modelkit.importing.loaded import Loaded, Wanted, built, first_line
from modelkit.importing.pickles import WARNING, convert
from modelkit.importing.preparation import Preparation, changed, of_processor
from modelkit.train.networks import ATTENTION, Architecture, Classifier, configuration
from modelkit.train.recipe import Network, RecipeError

PICKLED = "pytorch_model.bin"
_TOLERANCE = 1e-4
"""Of a logit, as a share: another layout in memory rounds otherwise."""
_BESIDE = ("config.json", "preprocessor_config.json", "processor_config.json")
_WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")


def load_transformers(wanted: Wanted) -> Loaded:
    """Loads a classifier with its processor.

    Raises:
        RecipeError: there is none, it is not whole, or it cannot be served.
    """
    folder = Path(wanted.source)
    if not folder.is_dir():
        return _from_hub(wanted)
    if not (folder / PICKLED).exists() or list(folder.glob("*.safetensors")):
        return _from_place(wanted, wanted.source)
    with tempfile.TemporaryDirectory() as scratch:
        for name in _BESIDE:
            if (folder / name).exists():
                shutil.copyfile(folder / name, Path(scratch) / name)
        convert(folder / PICKLED, Path(scratch) / "model.safetensors")
        loaded = _from_place(wanted, scratch)
    return replace(loaded, notes=(WARNING.format(file=PICKLED), *loaded.notes))


def _from_hub(wanted: Wanted) -> Loaded:
    """Loads from a folder with what a hub has; of its pickles, code and other formats nothing is fetched."""
    place, origin = fetch(*split_id(wanted.source), (*_BESIDE, *_WEIGHTS))
    if not list(place.glob("*.safetensors")):
        raise RecipeError(
            f"{wanted.source} has no weights as safetensors, and pickles are not fetched from a hub: get its folder "
            "yourself if you trust it, and import that"
        )
    return replace(_from_place(wanted, str(place)), origin=origin)


def _from_place(wanted: Wanted, place: str) -> Loaded:
    net, unused = _net(place)
    processor = _processor(place)
    preparation = changed(of_processor(processor.to_dict(), wanted.wishes), wanted.wishes)
    labels = wanted.labels or _labels(net.config.id2label)
    network = Network(source="transformers", config=configuration(net), mean=preparation.mean, std=preparation.std)
    architecture = Architecture(network=network, labels=labels, input=preparation.input)
    model = built(architecture, net.state_dict())
    _check_alike(net, model, preparation)
    return Loaded(architecture, model, (*preparation.notes, *unused), partial(_answer, net, processor))


def _answer(net: Any, processor: Any, images: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """Asks the network as its authors do: Pillow decodes, and the processor prepares."""
    with torch.inference_mode():
        logits: npt.NDArray[np.float32] = net(**processor(images=_opened(images), return_tensors="pt")).logits.numpy()
    return logits


def _opened(images: Sequence[bytes]) -> list[Image.Image]:
    return [Image.open(BytesIO(image)).convert("RGB") for image in images]


def _net(place: str) -> tuple[Any, tuple[str, ...]]:
    """Loads a network, whole: a weight that is missing would be drawn at random without a word."""
    from transformers import AutoModelForImageClassification  # noqa: PLC0415 -- seconds

    try:
        net, report = AutoModelForImageClassification.from_pretrained(
            place,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            dtype=torch.float32,
            attn_implementation=ATTENTION,
        )
    except Exception as error:  # safetensors has an error of its own, which is no ValueError
        raise RecipeError(
            f"transformers loads no image classifier with safetensors from {place!r}: {first_line(error)}"
        ) from error
    for what in ("missing_keys", "mismatched_keys"):
        if report.get(what):
            raise RecipeError(f"{place} is not whole: {what} {', '.join(map(str, sorted(report[what])[:3]))}")
    unused = len(report.get("unexpected_keys") or ())
    return net.eval(), (f"{unused} weights of the file belong to nothing in the classifier",) if unused else ()


def _processor(place: str) -> Any:
    from transformers import AutoImageProcessor  # noqa: PLC0415

    try:
        return AutoImageProcessor.from_pretrained(place, backend="pil", trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise RecipeError(f"{place!r} has no image processor that can be read: {first_line(error)}") from error


def _labels(names: dict[int, str]) -> tuple[str, ...]:
    labels = tuple(str(names[index]) for index in sorted(names))
    if labels[0] == "LABEL_0":
        raise RecipeError("the model does not name its classes: give their names with --labels, in their order")
    return labels


def _check_alike(net: Any, model: Classifier, preparation: Preparation) -> None:
    """Refuses a network that is another one when it is built again."""
    takes = preparation.input
    pixels = torch.rand(2, 3, takes.height, takes.width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, rebuilt = net(pixels).logits, model.net(pixels).logits
    if not torch.allclose(rebuilt, expected, rtol=_TOLERANCE, atol=_TOLERANCE * float(expected.abs().max())):
        raise RecipeError("the network answers otherwise when it is built again from its configuration")
