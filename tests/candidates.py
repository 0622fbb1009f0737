"""Runs as training and exporting leave them, made by hand in milliseconds: a network that tells colours apart.

Its logits are the normalised mean of each channel, and a constant for `dark`: right on every picture, and wrong as soon
as normalisation, the order of the channels or the order of the labels is another one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from datasources import encoded
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from modelkit.data.importing import Import, import_dataset
from modelkit.data.store import Dataset

SIDE = 8
LABELS = ("red", "green", "blue", "dark")
EACH = 10
MEAN, STD = (40.0, 40.0, 40.0), (50.0, 50.0, 50.0)


def colour_picture(label: str, seed: int, side_px: int = SIDE) -> bytes:
    """Returns a PNG of noise in which a label's channel is bright."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(20, 40, (side_px, side_px, 3)).astype(np.uint8)
    if label != "dark":
        pixels[..., LABELS.index(label)] += np.uint8(120)
    return encoded(Image.fromarray(pixels))


def colour_dataset(root: Path, name: str = "colours", splits: Sequence[str] = ("test",)) -> Dataset:
    """Imports a data set with so many pictures of each label in every split; its labels are in `LABELS`' order."""
    source, seed = root / "pictures", 0
    for split in splits:
        for label in LABELS:
            folder = source / split / label
            folder.mkdir(parents=True)
            for index in range(EACH):
                (folder / f"{index}.png").write_bytes(colour_picture(label, seed))
                seed += 1
    names = root / "labels.txt"
    names.write_text("\n".join(LABELS) + "\n")
    return import_dataset(root / "datasets", Import(name, source, labels=names, license="CC0-1.0"))


@dataclass(frozen=True)
class Colours:
    """Says how the network is, and what is wrong with it."""

    mean: Sequence[float] = MEAN
    std: Sequence[float] = STD
    channels: Sequence[int] = (0, 1, 2)
    """Which channel of the picture the network takes for red, green and blue."""
    classes: Sequence[int] = (0, 1, 2, 3)
    """Which of its answers comes in the place of each class."""
    extra: tuple[str, str] | None = None
    """An operator, and its domain, that is run on the logits."""
    gain: float = 1.0
    """All logits are multiplied by it: another file with the same answers."""
    labels: Sequence[str] = LABELS
    top1: float = 1.0
    """What training claims."""
    parents: Mapping[str, object] = field(default_factory=dict)


def colour_model(colours: Colours) -> bytes:
    """Returns the ONNX file."""
    weights = np.zeros((3, 4), np.float32)
    for name, channel in enumerate(colours.channels):
        weights[channel, name] = colours.gain
    bias = np.array([0, 0, 0, 0.5 * colours.gain], np.float32)
    order = list(colours.classes)
    constants: dict[str, npt.NDArray[Any]] = {
        "mean": np.array(colours.mean, np.float32),
        "std": np.array(colours.std, np.float32),
        "axes": np.array([1, 2], np.int64),
        "weights": weights[:, order],
        "bias": bias[order],
    }
    last = "answer" if colours.extra else "logits"
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normal"]),
        helper.make_node("ReduceMean", ["normal", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], [last]),
    ]
    opsets = [helper.make_opsetid("", 18)]
    if colours.extra:
        kind, domain = colours.extra
        nodes.append(helper.make_node(kind, ["answer"], ["logits"], domain=domain))
        opsets += [helper.make_opsetid(domain, 1)] if domain else []
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(onnx.ModelProto.SerializeToString(model))


def colour_run(folder: Path, dataset: Dataset, colours: Colours | None = None) -> Path:
    """Writes the folder of a run, exported."""
    colours = colours or Colours()
    folder.mkdir(parents=True)
    data = colour_model(colours)
    (folder / "model.onnx").write_bytes(data)
    recipe = {"width": SIDE, "height": SIDE, "crop": 1.0}
    lineage = {
        "step": "train",
        "run": folder.name,
        "dataset": {"name": dataset.manifest.name, "version": dataset.manifest.version},
        "recipe_sha256": "1" * 64,
        "model_sha256": "2" * 64,
        "parents": colours.parents,
    }
    contents = {
        "architecture.json": {"labels": list(colours.labels), "input": recipe, "network": {"source": "by hand"}},
        "lineage.json": lineage,
        "result.json": {"test": {"top1": colours.top1}},
        "export.json": {"model": "model.onnx", "sha256": hashlib.sha256(data).hexdigest()},
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    return folder
