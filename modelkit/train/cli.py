"""The commands below `triptych model` that train."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from modelkit.catalog import ModelkitMissingError
from modelkit.train.recipe import Recipe, RecipeError, load_recipe
from modelkit.train.run import RESULT_FILE

if TYPE_CHECKING:
    from modelkit.train.loop import Watch
    from modelkit.train.train import Places

RecipeFile = Annotated[Path, typer.Argument(help="YAML file, such as those in modelkit/recipes.", show_default=False)]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Changes the recipe; may be repeated.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Goes on from the run's last checkpoint, if it has one.")]
Datasets = Annotated[Path, typer.Option(help="Folder of the data sets.")]
Runs = Annotated[Path, typer.Option(help="Folder of the runs.")]
Server = Annotated[
    str,
    typer.Option(envvar="TRIPTYCH_SERVER", metavar="HOST:PORT", help="Address of the gateway that serves the teacher."),
]
SERVER = "localhost:8081"
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
    server: Server = SERVER,
) -> None:
    """Trains a network as a recipe says; the result is a run folder.

    \b
    triptych model train modelkit/recipes/fashion_mnist_smoke.yaml
    triptych model train my.yaml --set optimiser.lr=0.05 --set name=slower
    torchrun --standalone --nproc-per-node 2 -m triptych.cli model train my.yaml
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    with told():
        from modelkit.train.train import Places  # noqa: PLC0415 -- torch

        _train(load_recipe(recipe, tuple(changes or ())), Places(datasets, runs, pixels, server), resume=resume)


def distil_model(
    recipe: RecipeFile,
    changes: Changes = None,
    resume: Resume = False,  # noqa: FBT002
    datasets: Datasets = DATASETS,
    runs: Runs = RUNS,
    pixels: Pixels = PIXELS,
    server: Server = SERVER,
) -> None:
    """Trains a student on the labels and on the answers of a teacher: a run, or a model that a cluster serves.

    \b
    triptych model distil modelkit/recipes/fashion_mnist_distil.yaml
    triptych model distil modelkit/recipes/fashion_mnist_distil_served.yaml --server localhost:8081
    triptych model distil my.yaml --set teacher.temperature=2 --set teacher.alpha=0.5
    """  # noqa: D301
    with told():
        loaded = load_recipe(recipe, tuple(changes or ()))
        if loaded.teacher is None:
            raise RecipeError(f"{recipe} names no teacher: distilling needs `teacher: {{run: FOLDER}}`")
        from modelkit.train.train import Places  # noqa: PLC0415 -- torch

        _train(loaded, Places(datasets, runs, pixels, server), resume=resume)


def find_lr(  # noqa: PLR0913, PLR0917 -- options are arguments
    recipe: RecipeFile,
    changes: Changes = None,
    steps: Annotated[int, typer.Option(min=10, help="Steps, each at a higher rate.")] = 100,
    low: Annotated[float, typer.Option(help="First learning rate.")] = 1e-4,
    high: Annotated[float, typer.Option(help="Last learning rate.")] = 3.0,
    datasets: Datasets = DATASETS,
    runs: Runs = RUNS,
    server: Server = SERVER,
) -> None:
    """Raises the learning rate step by step until the loss breaks out, and suggests a peak for the recipe.

    \b
    triptych model find-lr modelkit/recipes/fashion_mnist_teacher.yaml
    """  # noqa: D301
    with told():
        from modelkit.train.find_lr import Sweep, search  # noqa: PLC0415 -- torch
        from modelkit.train.train import Places  # noqa: PLC0415

        sweep, loaded = Sweep(low, high, steps), load_recipe(recipe, tuple(changes or ()))
        found = search(loaded, Places(datasets, runs, gateway=server), sweep)
        typer.echo(f"suggested peak: {found.suggestion:.3g}; the loss is lowest at {found.lowest:.3g}; {found.plot}")
        if found.still_falls:
            typer.echo("the loss was lowest at the last rate: a better peak may lie beyond --high")


def sweep_model(  # noqa: PLR0913, PLR0917 -- options are arguments
    recipe: RecipeFile,
    rates: Annotated[str, typer.Option("--lr", help="Peak learning rates, with commas.", show_default=False)],
    batches: Annotated[str, typer.Option("--batch", help="Pictures in one step, with commas.", show_default=False)],
    epochs: Annotated[int, typer.Option(min=1, help="Of each training.")] = 2,
    changes: Changes = None,
    datasets: Datasets = DATASETS,
    runs: Runs = RUNS,
    server: Server = SERVER,
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
            done = sweep(loaded, grid, Places(datasets, runs, gateway=server), watch=watch)
        chosen = best(done.cells)
        if chosen is not None:
            typer.echo(f"best: --set optimiser.lr={chosen.rate:g} --set batch={chosen.batch}, top-1 {chosen.top1:.4f}")
        typer.echo(f"{done.folder / REPORT_FILE}")


def export_model(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.", show_default=False)],
    precision: Annotated[
        str, typer.Option(help="fp32, or fp16 into a run of its own: TensorRT takes the precision from the file.")
    ] = "fp32",
    name: Annotated[str, typer.Option(help="Of the fp16 run; by default the run's own and -fp16.")] = "",
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Most that a logit may be from torch's, as a share of the largest logit.",
            show_default="0.001, fp16 0.01",
        ),
    ] = None,
) -> None:
    """Writes a trained run's model.onnx, once ONNX Runtime and OpenVINO answer as torch does, and TensorRT takes it.

    \b
    triptych model export .triptych/runs/fashion_mnist_teacher
    triptych model export .triptych/runs/fashion_mnist_teacher --precision fp16
    """  # noqa: D301
    with told():
        if precision not in ("fp32", "fp16"):
            raise RecipeError(f"precision is fp32 or fp16, not {precision!r}; `triptych model quantise` makes INT8")
        from modelkit.export_half import HALF_TOLERANCE, export_half  # noqa: PLC0415 -- torch
        from modelkit.export_run import TOLERANCE, export_run  # noqa: PLC0415 -- torch

        if precision == "fp16":
            allowed = HALF_TOLERANCE if tolerance is None else tolerance
            exported = export_half(run, name or f"{run.name}-fp16", tolerance=allowed)
        else:
            allowed = TOLERANCE if tolerance is None else tolerance
            exported = export_run(run, tolerance=allowed)
        typer.echo(f"{exported.model}  sha256 {exported.sha256}")
        for engine, difference in exported.differences.items():
            typer.echo(f"  {engine}: {difference:.2g} of the largest logit from torch, at most {allowed:g} allowed")
        typer.echo(f"  {exported.tensorrt.sentence()}")


def _train(recipe: Recipe, places: "Places", *, resume: bool) -> None:
    from modelkit.train.train import train  # noqa: PLC0415 -- torch

    try:
        with watching() as watch:
            folder = train(recipe, places, resume=resume, watch=watch)
    except KeyboardInterrupt:
        typer.echo("stopped: the same command with --resume goes on from the last checkpoint", err=True)
        raise
    if (folder / RESULT_FILE).exists():  # on other nodes than the first process's it may not be seen yet
        tell_result(folder)


def tell_result(folder: Path) -> None:
    """Says how good a finished run is on the splits that judged it, how large, and where it lies."""
    result = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
    for split in ("val", "test"):
        if split in result:
            of = result[split]
            typer.echo(f"{split}: top-1 {of['top1']:.2%}, loss {of['loss']:.4f}, of {of['pictures']:,} pictures")
    size = f"{result['parameters']:,} parameters, {result['macs'] / 1e6:.2f} million multiply-accumulates"
    if "removed_macs" in result:
        size += f" ({result['removed_macs']:.1%} of the parent's went)"
    typer.echo(f"{folder}  {size}, {result['steps']:,} steps, {result['seconds']:g} s")


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
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("train", total=None)
        yield lambda done, every, words: progress.update(task, completed=done, total=every, description=words)
