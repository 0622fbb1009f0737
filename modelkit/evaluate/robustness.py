"""Asks models about the same pictures, corrupted and varied, side by side."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
import numpy.typing as npt

from modelkit.data.records import Record, Track, untracked
from modelkit.evaluate.corruptions import CORRUPTIONS, PROTOCOL, SEVERITIES, corrupted
from modelkit.evaluate.pictures import chunks
from modelkit.evaluate.variations import variations
from modelkit.gate import Logits
from modelkit.release.trial import decode
from modelkit.variants import Pictures
from servicekit.manifest import Recipe

Answer = Callable[[Pictures], Logits]
_CHUNK = 64
_CLEAN = ("clean", "")
Condition = tuple[str, str]
"""A corruption and its severity, or a variation and how far it goes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Is how a model does on varied pictures."""

    top1: float
    same: float
    """Share of pictures that keep their first class."""


@dataclass(frozen=True, slots=True)
class Robustness:
    """Is how a model does on pictures that are not as they should be; shares of the pictures throughout."""

    protocol: str
    """Figures compare where it is the same: table of corruptions, data, pictures and seed."""
    pictures: int
    clean_top1: float
    mean_top1: float
    """Over all corruptions and severities."""
    corruptions: dict[str, list[float]]
    """Top-1 by corruption, for the severities 1 to 5."""
    variations: dict[str, dict[str, Outcome]]


def protocol_of(dataset: str, pictures: int, seed: int) -> str:
    """Names what figures must share to be compared."""
    return f"{PROTOCOL}, {dataset}, {pictures} pictures, seed {seed}"


def options_of(protocol: str) -> str:
    """Returns the options of `triptych model evaluate` that measure by a protocol; empty where it names none."""
    found = re.fullmatch(r".*, (\S+) (\S+), (\d+) pictures, seed (\d+)", protocol)
    return "--dataset {}:{} --pictures {} --seed {}".format(*found.groups()) if found else ""


def measure_robustness(
    models: Mapping[str, Answer],
    records: Sequence[Record],
    recipe: Recipe,
    *,
    dataset: str,
    seed: int = 0,
    track: Track = untracked,
) -> dict[str, Robustness]:
    """Measures every model on the same pictures.

    Args:
        models: by name, what answers pictures with logits.
        records: labelled pictures, at least one.
        recipe: what all the models take.
        dataset: name and version, for the protocol.
        seed: of the corruptions.
        track: shows how far it is.
    """
    first: dict[str, dict[Condition, list[npt.NDArray[np.int64]]]] = {name: {} for name in models}
    parts = list(chunks(records, _CHUNK))
    for part in track(parts, "robustness", len(parts)):
        for condition, pictures in _conditions(part, recipe, seed):
            for name, answer in models.items():
                first[name].setdefault(condition, []).append(answer(pictures).argmax(axis=1))
    labels = np.array([record.label for record in records])
    protocol = protocol_of(dataset, len(records), seed)
    return {
        name: _summary({at: np.concatenate(rows) for at, rows in found.items()}, labels, protocol)
        for name, found in first.items()
    }


def _conditions(records: list[Record], recipe: Recipe, seed: int) -> Iterable[tuple[Condition, Pictures]]:
    clean = decode(records, recipe)
    yield _CLEAN, clean
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            pairs = zip(records, clean, strict=True)
            spoilt = [corrupted(name, pixels, severity, seed=seed, key=record.id) for record, pixels in pairs]
            yield (name, str(severity)), np.stack(spoilt)
    for name, levels in variations(recipe, seed).items():
        for level, vary in levels.items():
            yield (name, level), np.stack([vary(record.image, record.id) for record in records])


def _summary(
    first: Mapping[Condition, npt.NDArray[np.int64]], labels: npt.NDArray[np.int64], protocol: str
) -> Robustness:
    top1 = {condition: float((classes == labels).mean()) for condition, classes in first.items()}
    by_corruption = {name: [top1[name, str(severity)] for severity in SEVERITIES] for name in CORRUPTIONS}
    varied: dict[str, dict[str, Outcome]] = {}
    for (name, level), classes in first.items():
        if name not in CORRUPTIONS and (name, level) != _CLEAN:
            same = float((classes == first[_CLEAN]).mean())
            varied.setdefault(name, {})[level] = Outcome(top1[name, level], same)
    return Robustness(
        protocol=protocol,
        pictures=len(labels),
        clean_top1=top1[_CLEAN],
        mean_top1=mean(value for values in by_corruption.values() for value in values),
        corruptions=by_corruption,
        variations=varied,
    )
