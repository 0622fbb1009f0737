"""Asks models about all that a data set holds, side by side, and sums up what was found of each."""

from collections.abc import Mapping

import numpy as np

from modelkit.data.records import Track
from modelkit.data.store import Dataset
from modelkit.engine import compiled
from modelkit.evaluate.cost import measure_cost
from modelkit.evaluate.figures import Labels
from modelkit.evaluate.findings import Findings, accuracy_of, calibration_of
from modelkit.evaluate.pictures import CHUNK, chunks, count_labelled, labelled, spread
from modelkit.evaluate.robustness import Answer, Robustness, measure_robustness
from modelkit.evaluate.subject import Subject
from modelkit.gate import Logits
from modelkit.release.trial import SPLIT, decode
from servicekit.manifest import Recipe

Answered = tuple[Logits, Labels]
"""Logits of a split's labelled pictures, and their true classes."""


def measure_models(
    models: Mapping[str, Subject], dataset: Dataset, *, pictures: int | None, seed: int, track: Track
) -> dict[str, tuple[Findings, Answered]]:
    """Measures models that take the same pictures; returns what was found of each, and its answers to the test split.

    Args:
        models: by name, at least one.
        dataset: has labelled pictures in the split `test`.
        pictures: how many of these are corrupted; None for all.
        seed: of the corruptions.
        track: shows how far it is.
    """
    recipe = next(iter(models.values())).recipe
    engines = {name: compiled(each.onnx) for name, each in models.items()}
    test = _ask(dataset, SPLIT, recipe, engines, track)
    val = _ask(dataset, "val", recipe, engines, track)
    name = f"{dataset.manifest.name} {dataset.manifest.version}"
    records = spread(dataset, SPLIT, pictures)
    robust = measure_robustness(engines, records, recipe, dataset=name, seed=seed, track=track)
    return {
        name: (_findings(each, test[name], val.get(name), robust[name]), test[name]) for name, each in models.items()
    }


def _findings(subject: Subject, test: Answered, val: Answered | None, robustness: Robustness) -> Findings:
    return Findings(
        name=subject.name,
        made=subject.made,
        model_sha256=subject.sha256,
        accuracy=accuracy_of(*test, subject.labels),
        calibration=calibration_of(test, val),
        cost=measure_cost(subject.file, subject.recipe),
        robustness=robustness,
    )


def _ask(
    dataset: Dataset, split: str, recipe: Recipe, engines: Mapping[str, Answer], track: Track
) -> dict[str, Answered]:
    """Returns each model's answers to a split; nothing where it has no labelled pictures."""
    labels: list[int] = []
    answers: dict[str, list[Logits]] = {name: [] for name in engines}
    parts = -(-count_labelled(dataset, split) // CHUNK)
    for records in track(chunks(labelled(dataset, split)), split, parts):
        pictures = decode(records, recipe)
        labels += [record.label for record in records]
        for name, engine in engines.items():
            answers[name].append(engine(pictures))
    true = np.asarray(labels, np.int64)
    return {name: (np.concatenate(rows), true) for name, rows in answers.items() if rows}
