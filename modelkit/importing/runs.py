"""Makes the folder of a run of a model from elsewhere, so that export, gates and publishing treat it as any other."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from modelkit.data.store import open_dataset
from modelkit.export_run import EXPORT_FILE
from modelkit.importing.loaded import Loaded, Wanted
from modelkit.importing.onnx_runs import BATCH, load_onnx, measured, scored
from modelkit.importing.preparation import Wishes
from modelkit.importing.sources import load_source
from modelkit.publish import MODEL_FILE
from modelkit.train.files import write_atomically, write_json
from modelkit.train.measure import evaluate, size_of
from modelkit.train.networks import ARCHITECTURE_FILE, WEIGHTS_FILE, save
from modelkit.train.recipe import Data, RecipeError
from modelkit.train.run import RESULT_FILE, finished, sha256, start, write_environment, write_lineage
from modelkit.train.train import Pictures, Places, read_pictures

NOTES_FILE = "import.json"


class Importing(BaseModel):
    """Says what to import; it becomes the run's `recipe.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")
    """Of the run and its folder."""
    source: str
    """Folder or `ORG/NAME[@REVISION]` of transformers, `timm:NAME[@REVISION]`, or a file: .onnx, .safetensors, .pt,
    .pth, .bin, .ckpt."""
    dataset: Data
    """That judges the model, and whose labels it must have."""
    labels: tuple[str, ...] | None = None
    """Names of the classes in their order; None takes those of the source."""
    network: Path | None = None
    """Recipe that says what plain weights belong to."""
    wishes: Wishes = Wishes()
    seed: int = 0
    threads: int | None = None
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Imported:
    """Is what came of an import."""

    folder: Path
    notes: tuple[str, ...]
    """What a person should know."""


def import_run(plan: Importing, places: Places) -> Imported:
    """Makes a run of a model; an ONNX file's is exported already.

    Raises:
        RecipeError: the model cannot be read or served, has other labels than the data set, or the run exists.
        DataError: there is no such data set.
        ParityError: an engine answers otherwise than the original ONNX file.
    """
    if finished(places.runs / plan.name):
        raise RecipeError(f"{places.runs / plan.name} exists: choose another name")
    labels = open_dataset(places.datasets, plan.dataset.name, plan.dataset.version).labels
    if plan.source.endswith(".onnx"):
        return _import_onnx(plan, places, plan.labels or labels)
    loaded = load_source(Wanted(plan.source, plan.labels, labels, plan.wishes, plan.network))
    return _import_network(plan, places, loaded)


def _import_network(plan: Importing, places: Places, loaded: Loaded) -> Imported:
    architecture, model = loaded.architecture, loaded.model
    pictures = read_pictures(plan.dataset, architecture.input, places)
    folder = _start(plan, places, architecture.labels, pictures.labels)
    save(folder, architecture, model)
    figures = {name: _figures(loaded, pictures, name, places) for name in _judged(pictures)}
    size: dict[str, object] = asdict(size_of(model, architecture.input))
    parents = {"weights": loaded.origin} if loaded.origin else {}
    write_lineage(folder, "import", pictures.dataset, parents, folder / WEIGHTS_FILE)
    _finish(plan, folder, loaded.notes, {**figures, **size})
    return Imported(folder, loaded.notes)


def _figures(loaded: Loaded, pictures: Pictures, split: str, places: Places) -> dict[str, float | int]:
    """Measures a model on a split: as its authors prepare pictures where that is known, else as serving does."""
    if loaded.original is None:
        return asdict(evaluate(loaded.model, pictures.splits[split]))
    dataset = open_dataset(places.datasets, pictures.dataset["name"], pictures.dataset["version"])
    records = (record for record in dataset.records(split) if record.label >= 0)
    logits = []
    while chunk := [record.image for record in islice(records, BATCH)]:
        logits.append(loaded.original(chunk))
    return scored(np.concatenate(logits), pictures.splits[split].labels)


def _import_onnx(plan: Importing, places: Places, labels: tuple[str, ...]) -> Imported:
    loaded = load_onnx(Path(plan.source), plan.wishes, len(labels))
    preparation = loaded.preparation
    pictures = read_pictures(plan.dataset, preparation.input, places)
    folder = _start(plan, places, labels, pictures.labels)
    write_atomically(folder / MODEL_FILE, loaded.data)
    network = {"source": "onnx", "mean": preparation.mean, "std": preparation.std}
    takes = preparation.input.model_dump(mode="json")
    write_json(folder / ARCHITECTURE_FILE, {"network": network, "labels": labels, "input": takes})
    digest = sha256(folder / MODEL_FILE)
    write_json(folder / EXPORT_FILE, {"model": MODEL_FILE, "sha256": digest, "differences": loaded.differences})
    figures = {name: measured(loaded.answer, pictures.splits[name]) for name in _judged(pictures)}
    write_lineage(folder, "import", pictures.dataset, {}, folder / MODEL_FILE)
    _finish(plan, folder, loaded.notes, figures)
    return Imported(folder, loaded.notes)


def _start(plan: Importing, places: Places, labels: Sequence[str], known: Sequence[str]) -> Path:
    """Makes the folder, once the labels are found to be those of the data set, in their order."""
    if tuple(labels) != tuple(known):
        different = [pair for pair in zip(labels, known, strict=False) if pair[0] != pair[1]]
        first = f", the first that differs is {different[0][0]!r} and {different[0][1]!r}" if different else ""
        raise RecipeError(
            f"the model has {len(labels)} classes and {plan.dataset.name} {len(known)}{first}; --labels renames the "
            "model's, in their order"
        )
    folder = places.runs / plan.name
    start(folder, plan, resume=True)
    write_environment(folder, plan, 1)
    return folder


def _finish(plan: Importing, folder: Path, notes: Sequence[str], result: Mapping[str, object]) -> None:
    source = Path(plan.source)
    known = {"sha256": sha256(source)} if source.is_file() else {}
    write_json(folder / NOTES_FILE, {"source": plan.source, **known, "notes": list(notes)})
    write_json(folder / RESULT_FILE, result)


def _judged(pictures: Pictures) -> list[str]:
    return [name for name in ("val", "test") if name in pictures.splits]
