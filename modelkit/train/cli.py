"""The commands below `triptych model` that train."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from modelkit.catalog import ModelkitMissingError
from modelkit.train.recipe import Recipe, RecipeError, load_recipe
from modelkit.train.run import RESULT_FILE

if TYPE_CHECKING:
    from modelkit.train.loop import Watch

RecipeFile = Annotated[Path, typer.Argument(help="YAML file, such as those in modelkit/recipes.", show_default=False)]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Changes the recipe; may be repeated.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Goes on from the run's last checkpoint, if it has one.")]
Datasets = Annotated[Path, typer.Option(help="Folder of the data sets.")]
Runs = Annotated[Path, typer.Option(help="Folder of the runs.")]
Pixels = Annotated[Path, typer.Option(help="Folder of decoded pictures, which may be deleted at any time.")]
DATASETS, RUNS, PIXELS = Path(".triptych/datasets"), Path(".triptych/runs"), Path(".triptych/pixels")


def add_commands(app: typer.Typer) -> None:
    """Adds the commands to `triptych model`."""
    app.command("train")(train_model)
    app.command("distil")(distil_model)
    app.command("find-lr")(find_lr)
    app.command("sweep")(sweep_model)
    app.command("export")(export_model)


def train_model(
    recipe: RecipeFile,
    changes: Changes = None,
    resume: Resume = False,  # noqa: FBT002 -- Typer's way to say a flag
    datasets: Datasets = DATASETS,
    runs: Runs = RUNS,
    pixels: Pixels = PIXELS,
) -> None:
    """Trains a network as a recipe says; the result is a run folder.

    \b
    triptych model train modelkit/recipes/fashion_mnist_smoke.yaml
    triptych model train my.yaml --set optimiser.lr=0.05 --set name=slower
    torchrun --standalone --nproc-per-node 2 -m triptych.cli model train my.yaml
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    with told():
        _train(load_recipe(recipe, tuple(changes or ())), (datasets, runs, pixels), resume=resume)


def distil_model(
    recipe: RecipeFile,
    changes: Changes = None,
    resume: Resume = False,  # noqa: FBT002
    datasets: Datasets = DATASETS,
    runs: Runs = RUNS,
    pixels: Pixels = PIXELS,
) -> None:
    """Trains a student on the labels and on the answers of a teacher, the run that the recipe names in `teacher`.

    \b
    triptych model distil modelkit/recipes/fashion_mnist_distil.yaml
    triptych model distil my.yaml --set teacher.temperature=2 --set teacher.alpha=0.5
    """  # noqa: D301
    with told():
        loaded = load_recipe(recipe, tuple(changes or ()))
        if loaded.teacher is None:
            raise RecipeError(f"{recipe} names no teacher: distilling needs `teacher: {{run: FOLDER}}`")
        _train(loaded, (datasets, runs, pixels), resume=resume)


def find_lr(
    recipe: RecipeFile,
    changes: Changes = None,
    steps: Annotated[int, typer.Option(min=10, help="Steps, each at a higher rate.")] = 100,
    low: Annotated[float, typer.Option(help="First learning rate.")] = 1e-4,
    high: Annotated[float, typer.Option(help="Last learning rate.")] = 3.0,
    datasets: Datasets = DATASETS,
    runs: Runs = RUNS,
) -> None:
    """Raises the learning rate step by step until the loss breaks out, and suggests a peak for the recipe.

    \b
    triptych model find-lr modelkit/recipes/fashion_mnist_teacher.yaml
    """  # noqa: D301
    with told():
        from modelkit.train.find_lr import Sweep, search  # noqa: PLC0415 -- torch
        from modelkit.train.train import Places  # noqa: PLC0415

        loaded = load_recipe(recipe, tuple(changes or ()))
        found = search(loaded, Places(datasets, runs), Sweep(low, high, steps))
        typer.echo(f"suggested peak: {found.suggestion:.3g}; the loss is lowest at {found.lowest:.3g}; {found.plot}")


def sweep_model(
    recipe: RecipeFile,
    rates: Annotated[str, typer.Option("--lr", help="Peak learning rates, with commas.", show_default=False)],
    batches: Annotated[str, typer.Option("--batch", help="Pictures in one step, with commas.", show_default=False)],
    epochs: Annotated[int, typer.Option(min=1, help="Of each training.")] = 2,
    changes: Changes = None,
    datasets: Datasets = DATASETS,
    runs: Runs = RUNS,
) -> None:
    """Trains briefly with every pair of rates and batches, and reports how they change the result; goes on if cut off.

    \b
    triptych model sweep my.yaml --lr 0.05,0.1,0.2 --batch 64,128
    """  # noqa: D301
    with told():
        from modelkit.train.grid import best, read_grid  # noqa: PLC0415
        from modelkit.train.sweep import sweep  # noqa: PLC0415 -- torch
        from modelkit.train.sweep_report import REPORT_FILE  # noqa: PLC0415
        from modelkit.train.train import Places  # noqa: PLC0415

        loaded, grid = load_recipe(recipe, tuple(changes or ())), read_grid(rates, batches, epochs)
        with watching() as watch:
            done = sweep(loaded, grid, Places(datasets, runs), watch=watch)
        chosen = best(done.cells)
        if chosen is not None:
            typer.echo(f"best: --set optimiser.lr={chosen.rate:g} --set batch={chosen.batch}, top-1 {chosen.top1:.4f}")
        typer.echo(f"{done.folder / REPORT_FILE}")


def export_model(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.", show_default=False)],
    tolerance: Annotated[
        float, typer.Option(min=0, help="Most that a logit may be from torch's, as a share of the largest logit.")
    ] = 1e-3,
) -> None:
    """Writes a trained run's model.onnx, once ONNX Runtime and OpenVINO answer as torch does.

    \b
    triptych model export .triptych/runs/fashion_mnist_teacher
    """  # noqa: D301
    with told():
        from modelkit.export_run import export_run  # noqa: PLC0415 -- torch

        exported = export_run(run, tolerance=tolerance)
        typer.echo(f"{exported.model}  sha256 {exported.sha256}")
        for engine, difference in exported.differences.items():
            typer.echo(f"  {engine}: {difference:.2g} of the largest logit from torch, at most {tolerance:g} allowed")


def _train(recipe: Recipe, places: tuple[Path, Path, Path], *, resume: bool) -> None:
    from modelkit.train.train import Places, train  # noqa: PLC0415 -- torch

    with watching() as watch:
        folder = train(recipe, Places(*places), resume=resume, watch=watch)
    result = folder / RESULT_FILE
    if result.exists():  # on other nodes than the first process's it may not be seen yet
        typer.echo(f"{folder}  {json.dumps(json.loads(result.read_text(encoding='utf-8')))}")


@contextmanager
def told() -> Iterator[None]:
    """Turns errors that a person can do something about into one line and exit status 1."""
    try:
        yield
    except ModuleNotFoundError as error:
        typer.echo(f"error: {ModelkitMissingError(error.name or 'torch')}", err=True)
        raise typer.Exit(1) from error
    except ValueError as error:  # RecipeError, DataError
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


@contextmanager
def watching() -> "Iterator[Watch]":
    """Shows how far a training is."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("train", total=None)
        yield lambda done, every, words: progress.update(task, completed=done, total=every, description=words)
