"""Tries models on a data set's test split as requests would: serving's preprocessing, serving's engine."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelkit.data.records import Record
from modelkit.data.store import Dataset
from modelkit.engine import compiled
from modelkit.evaluate.pictures import chunks, labelled
from modelkit.gate import Logits
from modelkit.variants import Pictures
from servicekit.manifest import Recipe
from services.preprocess.headers import Limits
from services.preprocess.transforms import image_to_array

SPLIT = "test"


@dataclass(frozen=True, slots=True)
class Tried:
    """Is what models answered to the same pictures."""

    labels: npt.NDArray[np.int64]
    """`[n]`, the true classes."""
    answers: dict[str, Logits]
    """By name of the model."""

    def top1(self, name: str) -> float:
        """Returns the share of pictures whose first class is right."""
        return float((self._first(name) == self.labels).mean())

    def agreement(self, one: str, other: str) -> float:
        """Returns the share of pictures to which two models answer with the same first class."""
        return float((self._first(one) == self._first(other)).mean())

    def steadiness(self, one: str, other: str) -> float:
        """Returns the share of pictures to which two models answer with the same logits, to the last bit."""
        return same_bits(self.answers[one], self.answers[other])

    def _first(self, name: str) -> npt.NDArray[np.int64]:
        return np.asarray(self.answers[name].argmax(axis=1))


def same_bits(one: Logits, other: Logits) -> float:
    """Returns the share of pictures with the same logits, to the last bit."""
    return float(np.equal(one.view(np.uint32), other.view(np.uint32)).all(axis=1).mean())


def try_models(dataset: Dataset, recipe: Recipe, models: Mapping[str, bytes]) -> Tried:
    """Asks each ONNX file for its logits of the labelled pictures of the test split; there must be some."""
    engines = {name: compiled(data) for name, data in models.items()}
    labels: list[int] = []
    answers: dict[str, list[Logits]] = {name: [] for name in models}
    for records in chunks(labelled(dataset, SPLIT)):
        pictures = decode(records, recipe)
        labels += [record.label for record in records]
        for name, engine in engines.items():
            answers[name].append(engine(pictures))
    return Tried(np.asarray(labels), {name: np.concatenate(parts) for name, parts in answers.items()})


def decode(records: list[Record], recipe: Recipe) -> Pictures:
    """Decodes pictures as the preprocess service does."""
    return np.stack([image_to_array(record.image, recipe, Limits()).pixels for record in records])
