"""Trains a recipe briefly with every pair of some learning rates and batches, and reports how they change the result.

`<run>-sweep/` holds a run folder for each pair and the report, written anew after each; a sweep that was cut off goes
on in the training that it was in, and one with more rates or batches makes only what is missing.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from modelkit.train.files import write_atomically, write_json
from modelkit.train.grid import Cell, Grid
from modelkit.train.loop import Watch
from modelkit.train.recipe import Recipe, RecipeError
from modelkit.train.run import RECIPE_FILE, RESULT_FILE
from modelkit.train.sampling import Shard
from modelkit.train.sweep_report import PLOT_FILE, REPORT_FILE, plot, render
from modelkit.train.train import Load, Places, load_pictures, pinned, train

CELLS_FILE = "sweep.json"


@dataclass(frozen=True, slots=True)
class Swept:
    """Is what a sweep came to."""

    folder: Path
    cells: tuple[Cell, ...]


def sweep(
    recipe: Recipe, grid: Grid, places: Places, *, watch: Watch | None = None, load: Load = load_pictures
) -> Swept:
    """Makes what is missing of the trainings, and reports on all.

    Args:
        recipe: what to train; its rate, batch and epochs are the grid's.
        grid: what to try.
        places: where things are kept.
        watch: is told of each step.
        load: brings the pictures.

    Raises:
        RecipeError: a rate or batch does not fit, the data set has no `val`, or the sweep was of another recipe.
        DataError: there is no such data set.
    """
    folder = places.runs / f"{recipe.name}-sweep"
    begun = next(iter(sorted(folder.glob(f"*/{RECIPE_FILE}"))), folder / RECIPE_FILE).parent
    recipe = recipe.model_copy(update={"dataset": pinned(recipe.dataset, begun, places, Shard())})
    recipes = list(grid.recipes(recipe))
    pictures = load(recipe, places)
    if "val" not in pictures.splits:
        raise RecipeError("a sweep chooses by the split val, which the data set lacks: `triptych model data split`")
    cells: list[Cell] = []
    for each in recipes:
        run = train(each, replace(places, runs=folder), resume=True, watch=watch, load=lambda *_: pictures)
        cells.append(_cell(each, run))
        _write(folder, recipe.name, grid, cells)
    return Swept(folder, tuple(cells))


def _cell(recipe: Recipe, run: Path) -> Cell:
    result = json.loads((run / RESULT_FILE).read_text(encoding="utf-8"))
    return Cell(recipe.optimiser.lr, recipe.batch, result["val"]["top1"], result["val"]["loss"], result["seconds"])


def _write(folder: Path, name: str, grid: Grid, cells: list[Cell]) -> None:
    write_json(folder / CELLS_FILE, {"grid": asdict(grid), "cells": [asdict(cell) for cell in cells]})
    write_atomically(folder / PLOT_FILE, plot(grid, cells))
    write_atomically(folder / REPORT_FILE, render(name, grid, cells).encode())
