"""What a model believes of a data set's images, through the engine and the preprocessing that serve."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from modelkit.data.records import DataError, Record, Track, untracked
from modelkit.data.store import Dataset
from servicekit.errors import InvalidArgument
from servicekit.manifest import Recipe, read_labels
from services.preprocess.headers import Limits
from services.preprocess.transforms import image_to_array

BEST = 9
"""Labels that are told of an image: those that have a key."""
_CHUNK = 64
_ARCHITECTURE_FILE, _MODEL_FILE = "architecture.json", "model.onnx"


class _Architecture(BaseModel):
    """Is what is needed of a run's network."""

    model_config = ConfigDict(extra="ignore")

    labels: tuple[str, ...]
    input: Recipe


@dataclass(frozen=True, slots=True)
class Model:
    """Is a classifier to ask."""

    onnx: bytes
    recipe: Recipe
    labels: tuple[str, ...]
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class Guess:
    """Is what a model believes of an image."""

    margin: float
    """Between the probabilities of the first and the second label, 0 to 1: small where it is unsure."""
    best: tuple[tuple[int, float], ...]
    """The likeliest labels with their probabilities, the first one first."""


def find_model(by: str, repository: Path) -> Model:
    """Finds a model.

    Args:
        by: folder of an exported run, or a published model, `NAME` or `NAME:VERSION`.
        repository: folder of the published models.

    Raises:
        DataError: the folder is no exported run.
        ValueError: there is no such published model, or its file has changed.
    """
    if (Path(by) / _ARCHITECTURE_FILE).exists():
        return _of_run(Path(by))
    from modelkit.release.versions import find_version, model_bytes  # noqa: PLC0415 -- needs onnx and openvino

    name, _, wanted = by.partition(":")
    manifest, version = find_version(repository, name, wanted)
    folder = repository / name
    labels = read_labels(folder, manifest)
    temperature = manifest.versions[version].temperature
    return Model(model_bytes(folder, manifest, version), manifest.input, labels, temperature)


def guess(dataset: Dataset, split: str | None, model: Model, track: Track = untracked) -> dict[str, Guess]:
    """Asks a model about every image of a split, or of all; images that cannot be decoded are left out.

    Raises:
        DataError: the model knows other labels than the data set.
    """
    from modelkit.engine import compiled  # noqa: PLC0415 -- needs openvino

    if model.labels != dataset.labels:
        raise DataError(
            f"the model's {len(model.labels)} labels are not the {len(dataset.labels)} of {dataset.manifest.name} in "
            "their order"
        )
    engine = compiled(model.onnx)
    guesses: dict[str, Guess] = {}
    records = track(dataset.records(split), "predict", dataset.count(split))
    decoded = _decoded(records, model.recipe)
    while chunk := list(islice(decoded, _CHUNK)):
        answers = engine(np.stack([pixels for _, pixels in chunk]))
        rows = _softmax(answers / model.temperature)
        guesses.update({image: _guess(row) for (image, _), row in zip(chunk, rows, strict=True)})
    return guesses


def _decoded(records: Iterable[Record], recipe: Recipe) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    for record in records:
        try:
            yield record.id, image_to_array(record.image, recipe, Limits()).pixels
        except InvalidArgument:
            continue


def _guess(row: npt.NDArray[np.float64]) -> Guess:
    order = np.argsort(-row, kind="stable")[:BEST]
    return Guess(float(row[order[0]] - row[order[1]]), tuple((int(at), float(row[at])) for at in order))


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _of_run(folder: Path) -> Model:
    try:
        architecture = _Architecture.model_validate(json.loads((folder / _ARCHITECTURE_FILE).read_bytes()))
        return Model((folder / _MODEL_FILE).read_bytes(), architecture.input, architecture.labels)
    except (OSError, ValueError, ValidationError) as error:
        raise DataError(f"{folder} is no exported run; `triptych model export` makes one: {error}") from error
