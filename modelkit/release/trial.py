"""Tries models on a data set's test split as requests would: serving's preprocessing, serving's engine."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from modelkit.data.records import Record
from modelkit.data.store import Dataset
from modelkit.engine import compiled
from modelkit.gate import Logits
from modelkit.variants import Pictures
from servicekit.manifest import Recipe
from services.preprocess.headers import Limits
from services.preprocess.transforms import image_to_array

SPLIT = "test"
_CHUNK = 256
"""Pictures that are decoded at a time."""
_TIMED = 50


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

    def _first(self, name: str) -> npt.NDArray[np.int64]:
        return np.asarray(self.answers[name].argmax(axis=1))


def try_models(dataset: Dataset, recipe: Recipe, models: Mapping[str, bytes]) -> Tried:
    """Asks each ONNX file for its logits of the labelled pictures of the test split; there must be some."""
    engines = {name: compiled(data) for name, data in models.items()}
    labels: list[int] = []
    answers: dict[str, list[Logits]] = {name: [] for name in models}
    for records in _chunks(labelled(dataset)):
        pictures = decode(records, recipe)
        labels += [record.label for record in records]
        for name, engine in engines.items():
            answers[name].append(engine(pictures))
    return Tried(np.asarray(labels), {name: np.concatenate(parts) for name, parts in answers.items()})


def labelled(dataset: Dataset) -> Iterator[Record]:
    """Yields the pictures of the test split that have a label."""
    return (record for record in dataset.records(SPLIT) if record.label >= 0)


def decode(records: list[Record], recipe: Recipe) -> Pictures:
    """Decodes pictures as the preprocess service does."""
    return np.stack([image_to_array(record.image, recipe, Limits()).pixels for record in records])


def latency_ms(model: bytes, recipe: Recipe) -> float:
    """Returns the median time of one picture on the serving engine with one thread."""
    engine = compiled(model, threads=1)
    picture = np.zeros((1, recipe.height, recipe.width, 3), np.uint8)
    return float(np.median([_timed(engine, picture) for _ in range(_TIMED)])) * 1e3


def _timed(engine: Callable[[Pictures], Logits], picture: Pictures) -> float:
    start = time.perf_counter()
    engine(picture)
    return time.perf_counter() - start


def _chunks(records: Iterator[Record]) -> Iterator[list[Record]]:
    while chunk := list(islice(records, _CHUNK)):
        yield chunk
