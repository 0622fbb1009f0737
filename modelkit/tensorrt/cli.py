"""The command `triptych model build-engine`."""

from pathlib import Path
from typing import Annotated

import typer

from modelkit.tensorrt.api import Runtime
from modelkit.train.cli import told


def add_commands(app: typer.Typer) -> None:
    """Adds the command to `triptych model`."""
    app.command("build-engine")(build_engine)


def build_engine(
    model: Annotated[
        str, typer.Argument(help="MODEL or MODEL:VERSION; without a version the live one.", show_default=False)
    ],
    repository: Annotated[Path, typer.Option(help="Folder of the model repository.")] = Path("triton_models"),
    engines: Annotated[Path, typer.Option(help="Folder of the plans.")] = Path(".triptych/engines"),
    runtime: Annotated[
        Runtime, typer.Option(help="tensorrt is Triton's, and needs the GPU; tensorrt-rtx builds without one.")
    ] = "tensorrt",
    target: Annotated[
        list[str] | None,
        typer.Option(help="GPU to build for, such as sm89; may be repeated. By default the one here."),
    ] = None,
    opt_batch: Annotated[
        int | None, typer.Option(min=1, help="Pictures to tune for; by default a quarter of max_batch_size.")
    ] = None,
    level: Annotated[
        int | None, typer.Option(min=0, max=5, help="How long to look for fast kernels; by default TensorRT's 3.")
    ] = None,
) -> None:
    """Builds a TensorRT plan of a published version, and keeps it under a name that says all it depends on.

    \b
    triptych model build-engine efficientnet_lite0
    triptych model build-engine efficientnet_lite0:1 --runtime tensorrt-rtx --target sm89 --target sm120
    """  # noqa: D301 -- Typer's mark for lines that stay as they are
    with told():
        from modelkit.tensorrt.engines import Order, build_engines

        name, _, version = model.partition(":")
        order = Order(name, version, runtime, tuple(target or ()), opt_batch, level)
        for engine in build_engines(repository, engines, order):
            made = engine.manifest
            how = f"built in {made.build_seconds:.1f} s" if engine.fresh else "is built already"
            fits = f"{made.runtime} {made.tensorrt}, {made.gpu or 'compute capability'} {made.compute_capability}"
            typer.echo(f"{engine.plan}  {fits}, {how}")
