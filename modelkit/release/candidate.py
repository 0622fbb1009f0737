"""Reads what shall be published: the folder of a run, with the ONNX file that was exported from it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from modelkit.gate import GateError
from modelkit.publish import MODEL_FILE
from servicekit.manifest import Recipe

ARCHITECTURE_FILE = "architecture.json"
EXPORT_FILE = "export.json"
LINEAGE_FILE = "lineage.json"
RESULT_FILE = "result.json"
WEIGHTS_FILE = "model.safetensors"
EVALUATION_FILE = "evaluation.json"


class _Architecture(BaseModel):
    """Is what publishing needs to know of a network; the rest of the file is how to build it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    labels: tuple[str, ...]
    input: Recipe


class _DatasetName(BaseModel):
    name: str
    version: str


class _Lineage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    dataset: _DatasetName


@dataclass(frozen=True, slots=True)
class Candidate:
    """Is a model that wants to be published."""

    folder: Path
    onnx: bytes
    sha256: str
    exported_sha256: str
    """Of the file as the exporter wrote it."""
    labels: tuple[str, ...]
    recipe: Recipe
    dataset: str
    dataset_version: str
    lineage: dict[str, Any]
    """`lineage.json`, as it is."""
    offline_top1: float
    """Share of the test split that was right when the network was trained, in torch."""
    evaluation: dict[str, Any]
    """`evaluation.json`, empty where the run was not evaluated."""


def read_candidate(source: Path) -> Candidate:
    """Reads a run folder, or the run folder that an ONNX file lies in.

    Raises:
        GateError: it or a file of it is missing or is not what training and exporting write.
    """
    folder, model = (source, source / MODEL_FILE) if source.is_dir() else (source.parent, source)
    if not source.exists() and source.suffix != ".onnx":
        raise GateError(f"the file gate finds no run {source}")
    onnx = _bytes(model, f"`triptych model export {folder}` writes it")
    try:
        architecture = _Architecture.model_validate(_json(folder / ARCHITECTURE_FILE))
        lineage = _json(folder / LINEAGE_FILE)
        dataset = _Lineage.model_validate(lineage).dataset
        exported = _json(folder / EXPORT_FILE)
        offline = float(_json(folder / RESULT_FILE)["test"]["top1"])
    except (ValidationError, KeyError, TypeError) as error:
        raise GateError(f"the file gate refuses {folder}: it is not the folder of a finished run: {error}") from error
    return Candidate(
        folder=folder,
        onnx=onnx,
        sha256=hashlib.sha256(onnx).hexdigest(),
        exported_sha256=str(exported.get("sha256", "")) if exported.get("model") == model.name else "",
        labels=architecture.labels,
        recipe=architecture.input,
        dataset=dataset.name,
        dataset_version=dataset.version,
        lineage=lineage,
        offline_top1=offline,
        evaluation=_evaluation(folder),
    )


def origin(candidate: Candidate) -> Path | None:
    """Returns the folder of the run whose weights a candidate began with.

    None where that does not lie beside it, was made anew or was not exported.
    """
    known = candidate.lineage.get("parents", {}).get("weights", {})
    folder = candidate.folder.parent / str(known.get("run", ""))
    if "run" not in known or not (folder / EXPORT_FILE).exists():
        return None
    files = (each for each in (folder / MODEL_FILE, folder / WEIGHTS_FILE) if each.exists())
    hashes = (hashlib.sha256(each.read_bytes()).hexdigest() for each in files)
    return folder if known.get("model_sha256") in hashes else None


def check_file(candidate: Candidate) -> None:
    """Lets only the very bytes pass that were exported, and compared with the network then.

    Raises:
        GateError: the file is another one.
    """
    if candidate.sha256 != candidate.exported_sha256:
        exported = candidate.exported_sha256[:12] or "nothing"
        raise GateError(
            f"the file gate refuses the model: its sha256 begins with {candidate.sha256[:12]}, but {EXPORT_FILE} says "
            f"that {exported} was exported and checked; export it again"
        )


def check_evaluation(candidate: Candidate) -> None:
    """Lets a run pass that was not evaluated, or whose evaluation is of this very file.

    Raises:
        GateError: another file was evaluated: its temperature and its figures are not this one's.
    """
    evaluated = candidate.evaluation.get("model_sha256", candidate.sha256)
    if evaluated != candidate.sha256:
        raise GateError(
            f"the file gate refuses {candidate.folder / EVALUATION_FILE}: it is of a file whose sha256 begins "
            f"with {evaluated[:12]}, the model's begins with {candidate.sha256[:12]}; `triptych model evaluate` makes "
            "it anew"
        )


def _evaluation(folder: Path) -> dict[str, Any]:
    return _json(folder / EVALUATION_FILE) if (folder / EVALUATION_FILE).exists() else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_bytes(path, "training and exporting write it"))
    except ValueError as error:
        raise GateError(f"the file gate refuses {path}: it is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise GateError(f"the file gate refuses {path}: it holds no object")
    return content


def _bytes(path: Path, hint: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GateError(f"the file gate finds no {path} ({hint})") from error


def parent_name(parent: Mapping[str, Any]) -> str:
    """Returns what a lineage calls a parent: the run, the served version, or the hub's repository with its commit."""
    if "hub" in parent:
        return f"hub {parent['hub']}@{parent['revision']}"
    return f"served {parent['served']}" if "served" in parent else f"run {parent.get('run')}"
