"""Evaluates a run or a published version: measures, then writes `evaluation.json`, pictures and a card.

`evaluation.json` comes last but for the card, which is a function of it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelkit.data.records import Track, untracked
from modelkit.data.store import Dataset, open_dataset
from modelkit.evaluate.card import write_card
from modelkit.evaluate.examples import pictures_at, surest_mistakes
from modelkit.evaluate.measuring import measure_models
from modelkit.evaluate.pictures import count_labelled
from modelkit.evaluate.plots import draw_confused
from modelkit.evaluate.relatives import LeftOut, comparable, relatives
from modelkit.evaluate.subject import Shelf, Subject, is_run, judged_by, read_run, read_version
from modelkit.gate import GateError
from modelkit.release.candidate import EVALUATION_FILE
from modelkit.release.gates import check_labels
from modelkit.release.trial import SPLIT
from modelkit.train.files import write_json

PICTURES = 1000
"""Of the test split that are corrupted, unless something else is asked for."""
Content = dict[str, Any]
"""What `evaluation.json` holds."""


@dataclass(frozen=True, slots=True)
class Options:
    """Says how to evaluate."""

    pictures: int | None = PICTURES
    """Of the test split that are corrupted, evenly spread; None for all. Everything else takes the whole split."""
    seed: int = 0
    beside: Sequence[str] = ()
    """Models to compare with: folders of runs, `MODEL` or `MODEL:VERSION`."""
    family: bool = True
    """Compares a run with those that it was made of."""
    dataset: str = ""
    """`NAME` or `NAME:VERSION`; by default what the model was made with."""


def evaluate_run(folder: Path, shelf: Shelf, options: Options | None = None, track: Track = untracked) -> Content:
    """Evaluates a finished and exported run, and writes into its folder.

    Args:
        folder: of the run.
        shelf: where data sets and models are.
        options: how.
        track: shows how far it is.

    Raises:
        GateError: the run is not finished or not exported, has other labels than the data set, or nothing judges it.
        DataError: the data set is not there.
    """
    options = options or Options()
    subject = read_run(folder)
    family, left_out = relatives(subject, folder) if options.family else ([], {})
    return _evaluate(subject, (family, left_out), folder, shelf, options, track)


def evaluate_version(
    name: str, version: str, shelf: Shelf, options: Options | None = None, track: Track = untracked
) -> Content:
    """Evaluates a published version, the live one where none is named, and writes below `shelf.evaluations`.

    Raises:
        GateError: its file is damaged, it has other labels than the data set, or nothing judges it.
        DataError: the data set is not there, or none is known.
        ManifestError: the model's manifest is wrong.
        PublishError: there is no such model or version.
    """
    subject = read_version(shelf.repository, name, version)
    folder = shelf.evaluations / subject.name.replace(":", "-")
    return _evaluate(subject, ([], {}), folder, shelf, options or Options(), track)


def evaluate(name: str, shelf: Shelf, options: Options | None = None, track: Track = untracked) -> tuple[Path, Content]:
    """Evaluates a run's folder, `MODEL` or `MODEL:VERSION`; returns the folder that it wrote into, and what it found.

    Raises:
        GateError, DataError, ManifestError, PublishError: as the two functions above.
    """
    if is_run(name):
        return Path(name), evaluate_run(Path(name), shelf, options, track)
    model, _, version = name.partition(":")
    content = evaluate_version(model, version, shelf, options, track)
    return shelf.evaluations / content["name"].replace(":", "-"), content


def _evaluate(
    subject: Subject,
    family: tuple[list[Subject], LeftOut],
    folder: Path,
    shelf: Shelf,
    options: Options,
    track: Track,
) -> Content:
    named, odd = comparable(subject, options.beside, shelf.repository)
    models = {each.name: each for each in (subject, *family[0], *named)}
    dataset = open_dataset(shelf.datasets, *judged_by(subject, options.dataset))
    check_labels(subject.labels, dataset.labels)
    if not count_labelled(dataset, SPLIT):
        raise GateError(f"{dataset.folder} has no test split to judge by")
    measured = measure_models(models, dataset, pictures=options.pictures, seed=options.seed, track=track)
    findings, answered = measured[subject.name]
    content = {
        "schema_version": 1,
        **asdict(findings),
        "temperature": findings.calibration.temperature,
        "labels": list(subject.labels),
        "input": subject.recipe.model_dump(),
        "lineage": subject.lineage,
        "dataset": _facts(dataset),
        "relatives": [asdict(each) for name, (each, _) in measured.items() if name != subject.name],
        "left_out": {**family[1], **odd},
    }
    folder.mkdir(parents=True, exist_ok=True)
    mistakes = surest_mistakes(findings.accuracy.confused, *answered, subject.labels)
    draw_confused(folder, pictures_at(dataset, mistakes))
    write_json(folder / EVALUATION_FILE, content)
    write_card(folder)
    return content


def _facts(dataset: Dataset) -> Content:
    manifest = dataset.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "license": manifest.license,
        "source": manifest.source,
        "pictures": {split: count_labelled(dataset, split) for split in manifest.counts},
    }
