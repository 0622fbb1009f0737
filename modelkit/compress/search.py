"""Searches the ladder of smaller networks: makes every rung, measures all alike, and chooses.

`<run>-compress/` holds `candidates.json` with the figures of every candidate, written after each; a search that was cut
off, or is asked again with other bounds, makes only what is missing. The candidates are runs of their own.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from modelkit.compress.accuracy import accuracy, best_classes
from modelkit.compress.ladder import Candidate, Choice, Wanted, choose
from modelkit.compress.pareto import draw
from modelkit.compress.quantise import dataset_of
from modelkit.compress.rungs import Climb, Rung, Search, architecture_of
from modelkit.evaluate.cost import latency_ms
from modelkit.export_run import EXPORT_FILE, export_run
from modelkit.publish import MODEL_FILE
from modelkit.signing.files import sha256_of
from modelkit.train.files import write_json
from modelkit.train.loop import Watch
from modelkit.train.pixels import Split
from modelkit.train.recipe import Data, RecipeError
from modelkit.train.run import RESULT_FILE, sha256
from modelkit.train.train import Pictures, Places, read_pictures
from servicekit.manifest import Recipe as Input

CANDIDATES_FILE = "candidates.json"
CHOICE_FILE = "choice.json"
PLOT_FILE = "pareto.png"


@dataclass(frozen=True)
class Found:
    """Is what a search came to."""

    folder: Path
    candidates: tuple[Candidate, ...]
    choice: Choice
    refused: dict[str, str]
    """By the name of a run that did not become a candidate: why its INT8 file was not let pass."""


Read = Callable[[Data, Input, Places], Pictures]


def compress(
    search: Search, wanted: Wanted, places: Places, *, watch: Watch | None = None, read: Read = read_pictures
) -> Found:
    """Makes and measures what is missing of the candidates, and chooses one by its accuracy on `val`.

    Args:
        search: what to try.
        wanted: what the choice must hold.
        places: where things are kept.
        watch: is told of each step of training.
        read: brings the pictures.

    Raises:
        RecipeError: a run is not finished, a student is for another task, the data set has no `val`, or a share of the
            multiply-accumulates cannot go.
        DataError: the data set is not there.
    """
    climb = Climb(search, places, _pictures(search, places, read), watch)
    folder = places.runs / f"{search.run.name}-compress"
    folder.mkdir(parents=True, exist_ok=True)
    known = _known(folder)
    candidates: list[Candidate] = []
    for rung in climb.rungs():
        if not _exported(rung.run):
            export_run(rung.run)
        before = known.get(rung.run.name)
        if before is None or before.sha256 != sha256(rung.run / MODEL_FILE):
            known[rung.run.name] = _measured(rung, climb.pictures.splits["val"])
            write_json(folder / CANDIDATES_FILE, {"candidates": [asdict(each) for each in known.values()]})
        candidates.append(known[rung.run.name])
    choice = choose(candidates, wanted)
    write_json(folder / CHOICE_FILE, {"wanted": asdict(wanted), **asdict(choice), "refused": climb.refused})
    draw(candidates, choice.name).savefig(folder / PLOT_FILE, dpi=120)
    return Found(folder, tuple(candidates), choice, climb.refused)


def _pictures(search: Search, places: Places, read: Read) -> Pictures:
    """Returns the pictures of the data set that the network was trained with, which all candidates learn and answer."""
    given = architecture_of(search.run)
    for student in search.students:
        other = architecture_of(student)
        if (other.labels, other.input) != (given.labels, given.input):
            raise RecipeError(f"{student} has other classes or takes other pictures than {search.run}")
    pictures = read(dataset_of(search.run), given.input, places)
    if "val" not in pictures.splits:
        name, version = pictures.dataset["name"], pictures.dataset["version"]
        raise RecipeError(
            f"data set {name} {version} has no pictures in val, and test must not choose a model: "
            f"`triptych model data split {name} --val 0.1` makes a version that has some, "
            f"to train {search.run.name} with"
        )
    return pictures


def _measured(rung: Rung, judging: Split) -> Candidate:
    model = (rung.run / MODEL_FILE).read_bytes()
    result = json.loads((rung.run / RESULT_FILE).read_text(encoding="utf-8"))
    return Candidate(
        name=rung.run.name,
        made=rung.made,
        arithmetic=rung.arithmetic,
        top1=accuracy(best_classes(model, judging), judging.labels).top1,
        latency_ms=round(latency_ms(model, architecture_of(rung.run).input, 1), 4),
        kilobytes=round(len(model) / 1000, 1),
        macs=result["macs"],
        sha256=sha256_of(model),
    )


def _exported(run: Path) -> bool:
    try:
        noted = json.loads((run / EXPORT_FILE).read_text(encoding="utf-8"))
        return bool(noted["sha256"] == sha256(run / MODEL_FILE))
    except OSError:
        return False


def _known(folder: Path) -> dict[str, Candidate]:
    """Returns what was measured, by name; what an earlier form of the file says of a candidate is measured anew."""
    path, keys = folder / CANDIDATES_FILE, {field.name for field in fields(Candidate)}
    written = json.loads(path.read_text(encoding="utf-8"))["candidates"] if path.exists() else []
    return {each["name"]: Candidate(**each) for each in written if each.keys() == keys}
