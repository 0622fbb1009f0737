"""Climbs the ladder of smaller networks: prunes a run by several shares, quantises each, measures all, and chooses.

`<run>-compress/` holds `candidates.json` with the figures of every candidate, written after each; a search that was cut
off, or is asked again with other bounds, makes only what is missing. The candidates are runs of their own.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from modelkit.compress.ladder import Candidate, Choice, Wanted, choose, front
from modelkit.compress.prune import prune
from modelkit.compress.quantise import Quantising, accuracy, dataset_of, quantise_run
from modelkit.compress.recipe import PruneRecipe
from modelkit.engine import compiled
from modelkit.export_run import EXPORT_FILE, export_run
from modelkit.publish import MODEL_FILE
from modelkit.train.files import write_json
from modelkit.train.loop import Watch
from modelkit.train.networks import ARCHITECTURE_FILE, Architecture
from modelkit.train.pixels import Split
from modelkit.train.recipe import Data, parse
from modelkit.train.run import RESULT_FILE, sha256
from modelkit.train.train import Pictures, Places, read_pictures
from servicekit.manifest import Recipe as Input

CANDIDATES_FILE = "candidates.json"
CHOICE_FILE = "choice.json"
PLOT_FILE = "pareto.png"
_COSTS = {"latency_ms": "ms a picture, one thread", "kilobytes": "kB", "macs": "multiply-accumulates"}
_PASSES = 300
_WARM = 30


@dataclass(frozen=True)
class Search:
    """Says what to try."""

    run: Path
    """Folder of the network to start from."""
    pruning: PruneRecipe
    """How each pruning goes; `name`, `parent` and `remove` are the search's."""
    removes: tuple[float, ...]
    """Shares of the multiply-accumulates to take away, one pruning each."""
    students: tuple[Path, ...] = ()
    """Folders of other finished runs for the same task, such as distilled students."""


@dataclass(frozen=True)
class Found:
    """Is what a search came to."""

    folder: Path
    candidates: tuple[Candidate, ...]
    choice: Choice
    split: str
    """That judged: val, or test where there is no val."""


Read = Callable[[Data, Input, Places], Pictures]


def compress(
    search: Search, wanted: Wanted, places: Places, *, watch: Watch | None = None, read: Read = read_pictures
) -> Found:
    """Makes and measures what is missing of the candidates, and chooses one.

    Args:
        search: what to try.
        wanted: what the choice must hold.
        places: where things are kept.
        watch: is told of each step of training.
        read: brings the pictures.

    Raises:
        RecipeError: a run is not finished, or a share of the multiply-accumulates cannot go.
        DataError: the data set is not there.
    """
    folder = places.runs / f"{search.run.name}-compress"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = read(dataset_of(search.run), _takes(search.run), places)
    split = "val" if "val" in pictures.splits else "test"
    known = {each.name: each for each in _known(folder)}
    candidates: list[Candidate] = []
    for made, run in _ladder(search, places, pictures, watch):
        if run.name not in known:
            known[run.name] = _measured(run, made, pictures.splits[split])
            _write(folder, split, list(known.values()))
        candidates.append(known[run.name])
    choice = choose(candidates, wanted)
    write_json(folder / CHOICE_FILE, {"wanted": asdict(wanted), **asdict(choice)})
    _plot(folder / PLOT_FILE, candidates, choice)
    return Found(folder, tuple(candidates), choice, split)


def latency_ms(model: bytes, pictures: Split) -> float:
    """Returns the median processor time of one picture on one thread of the engine that serves."""
    answer = compiled(model, threads=1)
    rows = [np.ascontiguousarray(pictures.pixels[index % len(pictures)][np.newaxis]) for index in range(_PASSES)]
    for row in rows[:_WARM]:
        answer(row)
    return statistics.median(_timed(partial(answer, row)) for row in rows)


def _timed(work: Callable[[], object]) -> float:
    """Returns milliseconds of this process's own time: what other programs take of the machine does not count."""
    begun = time.process_time()
    work()
    return 1000 * (time.process_time() - begun)


def _ladder(search: Search, places: Places, pictures: Pictures, watch: Watch | None) -> Iterator[tuple[str, Path]]:
    """Makes the candidates one after the other, the given network first; what exists is only named."""
    for made, run in _networks(search, places, pictures, watch):
        yield made, run
        plan = Quantising(name=f"{run.name}-int8", parent=run)
        yield f"{made}, INT8", quantise_run(plan, places, read=lambda *_: pictures)


def _networks(search: Search, places: Places, pictures: Pictures, watch: Watch | None) -> Iterator[tuple[str, Path]]:
    yield "as given", search.run
    for student in search.students:
        yield "student", student
    for remove in sorted(search.removes):
        changed = {"name": f"{search.run.name}-without-{round(100 * remove)}", "parent": search.run, "remove": remove}
        recipe = search.pruning.model_copy(update=changed)
        run = prune(recipe, places, resume=True, watch=watch, read=lambda *_: pictures)
        yield f"{remove:.0%} of its work pruned", run


def _measured(run: Path, made: str, judging: Split) -> Candidate:
    if not _exported(run):
        export_run(run)
    model = (run / MODEL_FILE).read_bytes()
    result = json.loads((run / RESULT_FILE).read_text(encoding="utf-8"))
    return Candidate(
        name=run.name,
        made=made,
        top1=accuracy(model, judging).top1,
        latency_ms=round(latency_ms(model, judging), 4),
        kilobytes=round(len(model) / 1000, 1),
        macs=result["macs"],
    )


def _exported(run: Path) -> bool:
    try:
        noted = json.loads((run / EXPORT_FILE).read_text(encoding="utf-8"))
        return bool(noted["sha256"] == sha256(run / MODEL_FILE))
    except OSError:
        return False


def _takes(run: Path) -> Input:
    text = (run / ARCHITECTURE_FILE).read_text(encoding="utf-8")
    return parse(Architecture, json.loads(text), str(run / ARCHITECTURE_FILE)).input


def _known(folder: Path) -> list[Candidate]:
    path = folder / CANDIDATES_FILE
    return [Candidate(**each) for each in json.loads(path.read_text())["candidates"]] if path.exists() else []


def _write(folder: Path, split: str, candidates: list[Candidate]) -> None:
    write_json(folder / CANDIDATES_FILE, {"split": split, "candidates": [asdict(each) for each in candidates]})


def _plot(path: Path, candidates: list[Candidate], choice: Choice) -> None:
    with mpl.rc_context({"svg.hashsalt": "triptych"}):
        figure = Figure(figsize=(12, 4), layout="constrained")
        for axes, (cost, label) in zip(figure.subplots(1, len(_COSTS), sharey=True), _COSTS.items(), strict=True):
            best = front(candidates, cost)
            axes.step([getattr(c, cost) for c in best], [100 * c.top1 for c in best], where="post", color="grey")
            for each in candidates:
                mark = "*" if each.name == choice.name else "o"
                axes.plot(getattr(each, cost), 100 * each.top1, mark, markersize=12 if mark == "*" else 6)
                axes.annotate(each.name, (getattr(each, cost), 100 * each.top1), fontsize=7, rotation=15)
            axes.set(xlabel=label, ylabel="top-1, %")
        figure.savefig(path, dpi=120)
