"""`triptych tune`: measures this machine and writes the settings that are best on it."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.output import err, fail
from triptych.cli.tune_report import report, words
from triptych.cli.tuned import keep
from triptych.cli.up_options import ModelRepository

if TYPE_CHECKING:
    from localcluster.options import UpOptions
    from localcluster.trial import Load
    from localcluster.tuning import Dimension, Measure, Measured, Outcome, Settings

MEASUREMENTS = 60
"""About so many fit into the time, the starts of clusters left aside."""
SLICE_S = (0.5, 3.0)
"""Least and most seconds of one measurement."""


def tune(
    seconds: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="About how long it may take; more tries more, and is surer.")
    ] = 60,
    colocated: Annotated[
        bool, typer.Option("--colocated", help="Tune `triptych up --colocated`; it has a file of its own.")
    ] = False,
    image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What to classify.", show_default="a JPEG of 512 x 512 pixels"),
    ] = None,
    callers: Annotated[
        int, typer.Option(min=1, max=256, metavar="N", help="Callers at the same time, each with one image.")
    ] = 16,
    model_repository: ModelRepository = None,
    model: Annotated[
        str, typer.Option(envvar="TRIPTYCH_DEFAULT_MODEL", metavar="NAME", help="The model to classify with.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
) -> None:
    """Finds the fastest settings for this machine, which `triptych up` then uses.

    Starts clusters of its own, loads them, and tries one setting after another. Let the machine do nothing else.
    """
    try:
        from localcluster import screen
        from localcluster.options import MODEL_REPOSITORY, UpOptions
        from localcluster.trial import Load, photograph
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; a cluster needs more than the client: pip install 'triptych[cluster]'")

    try:
        slice_s = min(max(seconds / MEASUREMENTS, SLICE_S[0]), SLICE_S[1])
        load = Load(image.read_bytes() if image else photograph(), callers, slice_s)
        with tempfile.TemporaryDirectory(prefix="triptych-tune-", ignore_cleanup_errors=True) as folder:
            options = UpOptions(
                state_dir=Path(folder),
                http_port=0,
                grpc_port=0,
                model_repository=(model_repository or MODEL_REPOSITORY).absolute(),
                model=model,
                colocated=colocated,
                experiments=False,
            )
            screen.prepare_triton(err())
            outcome = _search(options, load, seconds)
        report(outcome, seconds)
        if not dry_run and outcome.duels:
            keep(outcome, options)
    except (RuntimeError, ValueError, OSError) as error:
        screen.show_log(error, err())
        fail(str(error))


def _search(options: "UpOptions", load: "Load", seconds: float) -> "Outcome":
    """Measures clusters until the time is up."""
    from localcluster.trial import Trials
    from localcluster.tuning import Search

    dimensions = _dimensions(options)
    with Trials(options, load) as trials, _shown(trials.measure, seconds) as measure:
        return Search(measure, seconds, time.monotonic).run(dimensions)


def _dimensions(options: "UpOptions") -> "list[Dimension]":
    from localcluster.dimensions import dimensions, model_config
    from localcluster.environment import given
    from localcluster.machine import this_machine
    from localcluster.tuned_file import VARIABLES

    settled = given(VARIABLES)
    if settled:
        err().print(f"Your environment sets {', '.join(settled)}: not tried.", soft_wrap=True)
    return dimensions(this_machine().cores, model_config(options.model_repository, options.model), settled)


@contextmanager
def _shown(measure: "Measure", seconds: float) -> "Iterator[Measure]":
    """Shows on a terminal how time passes, and what is being measured."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TimeElapsedColumn(), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=err(), transient=True, refresh_per_second=2) as progress:
        task, start = progress.add_task("starting", total=seconds), time.monotonic()

        def measure_shown(settings: "Settings") -> "Measured":
            progress.update(task, description=words(settings), completed=time.monotonic() - start)
            return measure(settings)

        yield measure_shown
