"""Sweeping rate and batch: short trainings, a report, and going on after a cut."""

from pathlib import Path

import pytest
from candidates import colour_dataset, colour_picture
from slow.toy_training import toy_pictures, toy_recipe

from modelkit.data.importing import Import, import_dataset
from modelkit.train.grid import Grid
from modelkit.train.recipe import RecipeError, load_recipe
from modelkit.train.sweep import sweep
from modelkit.train.train import Pictures, Places

GRID = Grid((0.01, 0.1), (16, 32), 2)


def test_a_sweep_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    """Finished trainings stay, the one that was cut off resumes, and the result is that of a sweep without a cut."""
    recipe = toy_recipe(tmp_path / "recipe")
    whole = sweep(recipe, GRID, Places(runs=tmp_path / "whole"), load=toy_pictures)
    taken: list[int] = []

    def dies(done: int, _all: int, _words: str) -> None:
        taken.append(done)
        if len(taken) == 12:  # the second training's fourth step: after its first checkpoint
            raise KeyboardInterrupt

    places = Places(runs=tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        sweep(recipe, GRID, places, watch=dies, load=toy_pictures)
    assert "3 trainings are still to come" in (tmp_path / "cut/toy-sweep/sweep.md").read_text()
    first = tmp_path / "cut/toy-sweep/lr0.01-batch16/result.json"
    written = first.stat().st_mtime_ns
    resumed = sweep(recipe, GRID, places, load=toy_pictures)
    assert written == first.stat().st_mtime_ns
    figures = [[(cell.rate, cell.batch, cell.top1, cell.loss) for cell in each.cells] for each in (whole, resumed)]
    assert figures[0] == figures[1]
    assert "still to come" not in (resumed.folder / "sweep.md").read_text()
    assert (resumed.folder / "sweep.png").exists()


def test_a_sweep_goes_on_with_the_data_that_it_began_with(tmp_path: Path) -> None:
    """`latest` is the version made last when the sweep begins: its trainings compare with each other."""
    first = colour_dataset(tmp_path, splits=("train", "val"))
    changes = (
        "dataset={name: colours}",
        "input={width: 8, height: 8, crop: 1.0}",
        "augment={}",
        "checkpoint_steps=null",
    )
    recipe = toy_recipe(tmp_path, *changes)
    places = Places(tmp_path / "datasets", tmp_path / "runs", tmp_path / "pixels")
    sweep(recipe, Grid((0.1,), (8,), 1), places)
    (tmp_path / "pictures" / "train" / "red" / "one-more.png").write_bytes(colour_picture("red", 999))
    pictures = Import("colours", tmp_path / "pictures", labels=tmp_path / "labels.txt", license="CC0-1.0")
    second = import_dataset(tmp_path / "datasets", pictures)
    folder = sweep(recipe, Grid((0.1, 0.2), (8,), 1), places).folder
    versions = [load_recipe(run).dataset.version for run in folder.glob("*/recipe.yaml")]
    assert [first.manifest.version] * 2 == versions
    assert first.manifest.version != second.manifest.version


def test_a_rate_that_runs_away_is_told(tmp_path: Path) -> None:
    """Its numbers are none, the sweep goes on, and the best is another."""
    recipe = toy_recipe(tmp_path / "recipe", "clip_norm=null")
    done = sweep(recipe, Grid((0.05, 1e30), (32,), 1), Places(runs=tmp_path), load=toy_pictures)
    assert [False, True] == [cell.ran_away for cell in done.cells]
    assert "| 1e+30 | ran away |" in (done.folder / "sweep.md").read_text()


def test_more_rates_make_only_what_is_missing(tmp_path: Path) -> None:
    """A sweep of another recipe is refused, with what differs."""
    recipe, places = toy_recipe(tmp_path / "recipe"), Places(runs=tmp_path)
    steps: list[int] = []
    sweep(recipe, Grid((0.1,), (32,), 1), places, load=toy_pictures)
    sweep(recipe, Grid((0.1, 0.2), (32,), 1), places, watch=lambda done, *_: steps.append(done), load=toy_pictures)
    assert [1, 2] == steps
    with pytest.raises(RecipeError, match="was started with another recipe, which differs in seed"):
        sweep(toy_recipe(tmp_path / "recipe", "seed=4"), Grid((0.1,), (32,), 1), places, load=toy_pictures)


def test_what_judges_does_not_choose(tmp_path: Path) -> None:
    """Without a split val there is nothing to choose by."""

    def without_val(*_: object) -> Pictures:
        pictures = toy_pictures(recipe, Places())
        return Pictures(pictures.dataset, pictures.labels, {"train": pictures.splits["train"]})

    recipe = toy_recipe(tmp_path / "recipe")
    with pytest.raises(RecipeError, match="chooses by the split val"):
        sweep(recipe, GRID, Places(runs=tmp_path), load=without_val)
