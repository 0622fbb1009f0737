"""Prunes a finished run: takes channels away in steps, and lets the rest learn after each.

The folder of the new run is like that of a training. Beside it stand `sensitivity.json` and `steps/`: `<n>-pruned` is
the network as step n left it, with its `plan.json`, `<n>` the run that trained it. Each file that says that a part is
done comes last, so that a pruning which was cut off goes on where it was, to the same weights.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from modelkit.compress.channels import layer_scores, pruned
from modelkit.compress.plan import Plan, PlanError, Sensitivity, cheapest_plan
from modelkit.compress.recipe import PruneRecipe
from modelkit.compress.scan import as_json, from_json, scan_layers
from modelkit.train.files import write_json
from modelkit.train.loop import Watch
from modelkit.train.measure import size_of
from modelkit.train.networks import WEIGHTS_FILE, Classifier, load, save
from modelkit.train.recipe import RecipeError
from modelkit.train.run import (
    RESULT_FILE,
    Parent,
    alone,
    beginning,
    check_origin,
    finished,
    start,
    write_environment,
    write_lineage,
)
from modelkit.train.sampling import Shard
from modelkit.train.train import Load, Pictures, Places, load_pictures, pinned, torch_settings, train
from servicekit.manifest import Recipe as Input

SENSITIVITY_FILE = "sensitivity.json"
PLAN_FILE = "plan.json"
STEPS = "steps"


@dataclass(frozen=True)
class _Pruning:
    """Is one pruning under way."""

    recipe: PruneRecipe
    folder: Path
    places: Places
    takes: Input
    pictures: Pictures
    watch: Watch


def prune(
    recipe: PruneRecipe,
    places: Places,
    *,
    resume: bool = False,
    watch: Watch | None = None,
    read: Load = load_pictures,
) -> Path:
    """Prunes, and returns the new run's folder.

    Args:
        recipe: what to prune.
        places: where things are kept.
        resume: goes on with a pruning that exists.
        watch: is told of each step.
        read: brings the pictures; by default from the recipe's data set.

    Raises:
        RecipeError: the parent is no finished run or was trained for other classes, the run exists, or so many
            multiply-accumulates cannot go.
        DataError: there is no such data set.
    """
    folder = places.runs / recipe.name
    recipe = recipe.model_copy(update={"dataset": pinned(recipe.dataset, folder, places, Shard())})
    start(folder, recipe, resume=resume)
    with alone(folder):
        if finished(folder):
            check_origin(folder, _parents(recipe), WEIGHTS_FILE)
        else:
            _prune(recipe, folder, places, watch, read)
    return folder


def _prune(recipe: PruneRecipe, folder: Path, places: Places, watch: Watch | None, read: Load) -> None:
    write_environment(folder, recipe, processes=1)
    with beginning(folder):
        known, _ = load(recipe.parent)
        pictures = read(recipe.tuning(1, recipe.parent, known.input), places)
        if known.labels != pictures.labels:
            raise RecipeError(f"{recipe.parent} was trained for other classes than {pictures.dataset['name']} has")
    pruning = _Pruning(recipe, folder, places, known.input, pictures, watch or (lambda _done, _all, _words: None))
    last = recipe.parent
    for step in range(1, recipe.steps + 1):
        with torch_settings(recipe.tuning(step, last, known.input)):
            _take_step(pruning, step, last)
        last = _learn(pruning, step)
    _finish(pruning, last)


def _parents(recipe: PruneRecipe) -> dict[str, Parent]:
    return {"weights": recipe.parent, **({"teacher": recipe.teacher.source} if recipe.teacher else {})}


def read_sensitivity(folder: Path) -> tuple[float, dict[str, Sensitivity]]:
    """Reads what the scan of a pruning saw: the parent's accuracy, and each layer's."""
    return from_json(json.loads((folder / SENSITIVITY_FILE).read_text(encoding="utf-8")))


def _take_step(pruning: _Pruning, step: int, last: Path) -> None:
    """Writes the network that a step leaves, unless it is there."""
    folder = pruning.folder / STEPS / f"{step}-pruned"
    if (folder / PLAN_FILE).exists():
        return
    architecture, model = load(last)
    model.to(pruning.recipe.device)
    scores = layer_scores(model, pruning.takes, pruning.recipe.importance, pruning.pictures.splits["train"])
    base, layers = _sensitivity(pruning, model, scores)
    most = pruning.recipe.kept(step) * _parent_macs(pruning)

    def macs(plan: Plan) -> int:
        return size_of(pruned(model, pruning.takes, scores, plan), pruning.takes).macs

    try:
        plan, drop = cheapest_plan(layers, base, pruning.recipe.round_to, lambda each: macs(each) <= most)
    except PlanError as error:
        raise RecipeError(f"{pruning.recipe.parent}: {error}") from error
    smaller = pruned(model, pruning.takes, scores, plan).cpu()
    folder.mkdir(parents=True, exist_ok=True)
    save(folder, architecture, smaller)
    write_json(folder / PLAN_FILE, {"channels": plan, "drop_of_a_layer_alone": round(drop, 6), "macs": macs(plan)})


def _sensitivity(
    pruning: _Pruning, model: Classifier, scores: dict[str, torch.Tensor]
) -> tuple[float, dict[str, Sensitivity]]:
    """Returns what the first step's scan saw; later steps go by it, too."""
    if not (pruning.folder / SENSITIVITY_FILE).exists():
        split = "val" if "val" in pruning.pictures.splits else "train"
        judged = pruning.pictures.splits[split].first(pruning.recipe.scan.pictures)
        base, layers = scan_layers(model, pruning.recipe, pruning.takes, scores, judged, pruning.watch)
        write_json(pruning.folder / SENSITIVITY_FILE, as_json(base, layers, split, len(judged)))
    return read_sensitivity(pruning.folder)


def _parent_macs(pruning: _Pruning) -> int:
    return size_of(load(pruning.recipe.parent)[1], pruning.takes).macs


def _learn(pruning: _Pruning, step: int) -> Path:
    steps = pruning.folder / STEPS
    return train(
        pruning.recipe.tuning(step, steps / f"{step}-pruned", pruning.takes),
        replace(pruning.places, runs=steps),
        resume=True,
        watch=lambda done, every, words: pruning.watch(done, every, f"step {step}, {words}"),
        load=lambda _recipe, _places: pruning.pictures,
    )


def _finish(pruning: _Pruning, last: Path) -> None:
    recipe, folder = pruning.recipe, pruning.folder
    save(folder, *load(last))
    write_lineage(folder, "prune", pruning.pictures.dataset, _parents(recipe), folder / WEIGHTS_FILE)
    result, before = _result(last), _result(recipe.parent)
    size = asdict(size_of(load(recipe.parent)[1], pruning.takes))
    kept = {split: before[split] for split in ("val", "test") if split in before}
    write_json(
        folder / RESULT_FILE,
        {**result, "removed_macs": round(1 - result["macs"] / size["macs"], 4), "parent": {**kept, **size}},
    )


def _result(folder: Path) -> dict[str, Any]:
    path = folder / RESULT_FILE
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content
