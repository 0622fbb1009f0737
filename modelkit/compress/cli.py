"""The commands below `triptych model` that make networks smaller."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from modelkit.compress.recipe import PruneRecipe
from modelkit.train.cli import (
    DATASETS,
    RUNS,
    SERVER,
    Changes,
    Datasets,
    Resume,
    Runs,
    Server,
    tell_result,
    told,
    watching,
)
from modelkit.train.recipe import RecipeError, load_recipe, load_yaml, parse
from modelkit.train.run import RESULT_FILE

ARCHITECTURE_FILE, EXPORT_FILE = "architecture.json", "export.json"

if TYPE_CHECKING:
    from modelkit.compress.plan import Sensitivity
    from modelkit.compress.search import Found

PruneFile = Annotated[
    Path, typer.Argument(help="YAML file, such as modelkit/recipes/fashion_mnist_prune.yaml.", show_default=False)
]


def add_commands(app: typer.Typer) -> None:
    """Adds the commands to `triptych model`."""
    app.command("prune")(prune_model)
    app.command("compress")(compress_model)


def prune_model(
    recipe: PruneFile,
    changes: Changes = None,
    resume: Resume = False,  # noqa: FBT002 -- Typer's way to say a flag
    datasets: Datasets = DATASETS,
    runs: Runs = RUNS,
    server: Server = SERVER,
) -> None:
    """Takes channels away from a finished run and lets the rest learn again; the result is a run folder.

    \b
    triptych model prune modelkit/recipes/fashion_mnist_prune.yaml
    triptych model prune my.yaml --set parent=.triptych/runs/student --set remove=0.6
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    with told():
        from modelkit.compress.prune import prune, read_sensitivity  # noqa: PLC0415 -- torch
        from modelkit.train.train import Places  # noqa: PLC0415

        loaded = parse(PruneRecipe, load_yaml(recipe, tuple(changes or ())), str(recipe))
        with watching() as watch:
            folder = prune(loaded, Places(datasets, runs, gateway=server), resume=resume, watch=watch)
        _show(*read_sensitivity(folder))
        tell_result(folder)


def compress_model(  # noqa: PLR0913, PLR0917 -- options are arguments
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.", show_default=False)],
    max_drop: Annotated[float | None, typer.Option(min=0, help="Points of accuracy that may be lost.")] = None,
    target_latency: Annotated[
        float | None, typer.Option(min=0, help="Milliseconds that a picture may take, on one thread of OpenVINO.")
    ] = None,
    recipe: Annotated[Path, typer.Option(help="How prunings go; name, parent and remove are the search's.")] = Path(
        "modelkit/recipes/fashion_mnist_prune.yaml"
    ),
    changes: Changes = None,
    remove: Annotated[
        list[float] | None,
        typer.Option(help="Share of the work to prune away; may be repeated.", show_default="0.3 0.5 0.7"),
    ] = None,
    qat: Annotated[
        Path, typer.Option(help="How networks learn with INT8's rounding; what they learn with is the search's.")
    ] = Path("modelkit/recipes/fashion_mnist_int8.yaml"),
    qat_above: Annotated[
        float,
        typer.Option(min=0, help="Points that INT8 may cost a network on val before it learns with it; 100: never."),
    ] = 0.1,
    student: Annotated[
        list[Path] | None, typer.Option(help="Folder of another run to compare, such as a distilled student.")
    ] = None,
    datasets: Datasets = DATASETS,
    server: Server = SERVER,
) -> None:
    """Makes smaller networks of a run, measures them through OpenVINO, and names the one to take.

    What was made before is not made again: a search that was cut off goes on, and other bounds cost nothing.

    \b
    triptych model compress .triptych/runs/fashion_mnist_wide --max-drop 0.5
    triptych model compress .triptych/runs/fashion_mnist_wide --target-latency 0.1 --student .triptych/runs/small
    """  # noqa: D301
    with told():
        if max_drop is None and target_latency is None:
            raise RecipeError("say what is wanted: --max-drop, --target-latency or both")
        from modelkit.compress.ladder import Wanted  # noqa: PLC0415 -- with the rest
        from modelkit.compress.rungs import Search  # noqa: PLC0415 -- torch, onnxruntime
        from modelkit.compress.search import compress  # noqa: PLC0415
        from modelkit.train.train import Places  # noqa: PLC0415

        pruning = parse(PruneRecipe, load_yaml(recipe, tuple(changes or ())), str(recipe))
        removes = tuple(remove or (0.3, 0.5, 0.7))
        search = Search(run, pruning, removes, load_recipe(qat), qat_above, tuple(student or ()))
        with watching() as watch:
            found = compress(
                search, Wanted(max_drop, target_latency), Places(datasets, run.parent, gateway=server), watch=watch
            )
        _show_candidates(found)
        for name, why in found.refused.items():
            typer.echo(f"{name} is no candidate: {why}")
        typer.echo(f"{found.choice.name or 'nothing'}: {found.choice.why}\n{found.folder}")
        if found.choice.name is None:
            raise typer.Exit(1)


def _show_candidates(found: "Found") -> None:
    from modelkit.compress.ladder import front  # noqa: PLC0415 -- with the rest

    best = {each.name for each in front(found.candidates, "latency_ms")}
    table = Table(title="On val, through OpenVINO; * none is as right and faster")
    table.add_column("run", overflow="fold")
    for heading in ("top-1", "ms", "kB", "MMACs"):
        table.add_column(heading, justify="right")
    for each in found.candidates:
        name = f"{each.name} *" if each.name in best else each.name
        figures = (f"{each.top1:.2%}", f"{each.latency_ms:.3f}", f"{each.kilobytes:.0f}", f"{each.macs / 1e6:.2f}")
        table.add_row(name, *figures)
    Console().print(table)


def names_run(name: str) -> bool:
    """Says whether this is the folder of a run or the recipe that quantises one, and not a published model."""
    return Path(name).suffix in {".yaml", ".yml"} or (Path(name) / ARCHITECTURE_FILE).exists()


def quantise_folder(source: Path, given: Mapping[str, object], changes: list[str] | None, datasets: Path) -> None:
    """Quantises a run into a folder beside it, and tells what that cost.

    Args:
        source: the folder of the run, or a recipe that names it.
        given: what goes above the recipe, by its keys; None gives nothing.
        changes: `key=value`, go above all.
        datasets: folder of the data sets.
    """
    with told():
        from modelkit.compress.quantise import quantise_run, read_plan  # noqa: PLC0415 -- torch, onnxruntime
        from modelkit.train.train import Places  # noqa: PLC0415

        said = {key: value for key, value in given.items() if value is not None}
        plan = read_plan(source, said, tuple(changes or ()))
        folder = quantise_run(plan, Places(datasets, plan.parent.parent))
        result, exported = (
            json.loads((folder / name).read_text(encoding="utf-8")) for name in (RESULT_FILE, EXPORT_FILE)
        )
        for split, before in result["parent"].items():
            lost = result[f"drop_points_{split}"]
            typer.echo(f"{split}: fp32 {before['top1']:.2%}, INT8 {result[split]['top1']:.2%}: {lost:+.2f} points lost")
        typer.echo(f"convolutions that OpenVINO computes in INT8: {result['int8_convolutions_in_openvino']}")
        for engine, difference in exported.get("differences", {}).items():  # none in runs of before the checks
            typer.echo(f"{engine}: {difference:.2g} of the largest logit from the file in floats")
        typer.echo(f"the TensorRT gate: {exported.get('tensorrt', 'not asked')}")
        typer.echo(f"{folder}  {result['bytes'] / 1000:.0f} kB, of {result['parent_bytes'] / 1000:.0f} kB")


def _show(base: float, layers: "dict[str, Sensitivity]") -> None:
    table = Table(title=f"Points lost without a share of one layer's channels; the whole network has {base:.2%}")
    table.add_column("layer")
    table.add_column("channels", justify="right")
    table.add_column("share taken: points lost")
    for path, layer in layers.items():
        pairs = zip(layer.ratios, layer.top1, strict=True)
        lost = "  ".join(f"{ratio:.0%}: {100 * (base - top1):.1f}" for ratio, top1 in pairs)
        table.add_row(path.removeprefix("net."), str(layer.channels), lost)
    Console().print(table)
