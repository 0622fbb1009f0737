"""What is evaluated: the folder of a run, or a published version of a model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelkit.data.records import DataError
from modelkit.publish import MODEL_FILE
from modelkit.release.candidate import ARCHITECTURE_FILE, LINEAGE_FILE, check_file, read_candidate
from modelkit.release.versions import find_version, model_bytes
from servicekit.manifest import Recipe, read_labels


@dataclass(frozen=True, slots=True)
class Subject:
    """Is one model."""

    name: str
    """Of the run, or `model:version`."""
    made: str
    """The last step that made it: train, distil, prune, quantise, ..."""
    file: Path
    """The ONNX file."""
    onnx: bytes
    sha256: str
    labels: tuple[str, ...]
    recipe: Recipe
    dataset: str
    """Name of the data set; empty where it is not known."""
    dataset_version: str
    lineage: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Says where models are."""

    repository: Path = Path("triton_models")
    datasets: Path = Path(".triptych/datasets")
    evaluations: Path = Path(".triptych/evaluations")
    """Gets a folder for each published version that is evaluated; a run's evaluation lies in the run's folder."""


def is_run(name: str | Path) -> bool:
    """Says whether this is the folder of a run, and not the name of a published model."""
    return (Path(name) / ARCHITECTURE_FILE).exists()


def read_subject(name: str, repository: Path) -> Subject:
    """Reads a run's folder, or `MODEL` or `MODEL:VERSION` from a repository; without a version the live one.

    Raises:
        GateError: the run is not finished or not exported, or the published file is damaged.
        ManifestError: the model's manifest is wrong.
        PublishError: there is no such model or version.
    """
    if is_run(name):
        return read_run(Path(name))
    model, _, version = name.partition(":")
    return read_version(repository, model, version)


def read_run(folder: Path) -> Subject:
    """Reads a finished and exported run.

    Raises:
        GateError: it is not finished, or its ONNX file is not the one that was exported.
    """
    candidate = read_candidate(folder)
    check_file(candidate)
    return Subject(
        name=folder.resolve().name,
        made=str(candidate.lineage.get("step", "")),
        file=folder / MODEL_FILE,
        onnx=candidate.onnx,
        sha256=candidate.sha256,
        labels=candidate.labels,
        recipe=candidate.recipe,
        dataset=candidate.dataset,
        dataset_version=candidate.dataset_version,
        lineage=candidate.lineage,
    )


def read_version(repository: Path, name: str, version: str = "") -> Subject:
    """Reads a published version; by default the live one.

    Raises:
        GateError: its file is damaged.
        ManifestError: the model's manifest is wrong.
        PublishError: there is no such model or version.
    """
    manifest, chosen = find_version(repository, name, version)
    known = manifest.versions[chosen].lineage
    dataset, _, dataset_version = known.get("dataset", "").partition(" ")
    full = repository / name / chosen / LINEAGE_FILE
    return Subject(
        name=f"{name}:{chosen}",
        made=known.get("step") or known.get("command", ""),
        file=repository / name / manifest.versions[chosen].artifacts["cpu"].file,
        onnx=model_bytes(repository / name, manifest, chosen),
        sha256=manifest.versions[chosen].artifacts["cpu"].sha256,
        labels=read_labels(repository / name, manifest),
        recipe=manifest.input,
        dataset=dataset,
        dataset_version=dataset_version,
        lineage=json.loads(full.read_bytes()) if full.exists() else dict(known),
    )


def judged_by(subject: Subject, wanted: str) -> tuple[str, str]:
    """Returns name and version of the data set that judges a model.

    Args:
        subject: the model.
        wanted: `NAME` or `NAME:VERSION`; empty for the one that the model was made with.

    Raises:
        DataError: nothing is wanted, and the model does not say what it was made with.
    """
    if wanted:
        name, _, version = wanted.partition(":")
        return name, version or "latest"
    if not subject.dataset:
        raise DataError(f"{subject.name} does not say which data set it was made with: name one with --dataset")
    return subject.dataset, subject.dataset_version
