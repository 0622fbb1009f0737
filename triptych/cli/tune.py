"""`triptych tune`: measures this machine and writes the settings that are best on it."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.output import complain, err, fail, out

if TYPE_CHECKING:
    from rich.table import Table

    from localcluster.options import UpOptions
    from localcluster.trial import Load
    from localcluster.tuning import Dimension, Duel, Measure, Measured, Outcome, Settings

MEASUREMENTS = 60
"""About so many fit into the time, the starts of clusters left aside."""
SLICE_S = (0.5, 3.0)
"""Least and most seconds of one measurement."""

NOISY = 1.2
"""A machine on which the same settings differ by more than this is not quiet."""


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
    model_repository: Annotated[
        Path | None,
        typer.Option(
            envvar="TRIPTYCH_MODEL_REPOSITORY",
            metavar="FOLDER",
            help="The models to serve.",
            show_default="triton_models/ of the source",
        ),
    ] = None,
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
            )
            screen.prepare_triton(err())
            outcome = _search(options, load, seconds)
        _report(outcome, seconds)
        _keep(outcome, colocated=colocated, dry_run=dry_run)
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
            progress.update(task, description=_words(settings), completed=time.monotonic() - start)
            return measure(settings)

        yield measure_shown


def _report(outcome: "Outcome", seconds: float) -> None:
    """Prints every trial, and what came of them."""
    out().print(view(outcome))
    out().print(verdict(outcome), soft_wrap=True)
    for duel in (*outcome.duels, *([outcome.final] if outcome.final else [])):
        if duel.failure:
            complain(duel.failure)
    least, most = outcome.spread
    if most > NOISY * least:
        noise = f"The defaults alone did between {least:.0f} and {most:.0f} images/s"
        out().print(f"{noise}: something else keeps this machine busy. Tune again when it is quiet.", soft_wrap=True)
    if outcome.untried:
        more = f"`--seconds {2 * seconds:g}` tries more"
        out().print(f"No time was left for all values of {', '.join(outcome.untried)}: {more}.", soft_wrap=True)


def view(outcome: "Outcome") -> "Table":
    """Returns all trials as a table; gains are over the best so far, in the middle of the pairs."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("settings", no_wrap=True)
    for name in ("images/s", "p50 ms", "gain", "pairs"):
        table.add_column(name, justify="right")
    table.add_column("")
    table.add_row("defaults", f"{outcome.defaults.images_per_s:.1f}", f"{outcome.defaults.p50_ms:.1f}", "", "", "")
    for duel in outcome.duels:
        table.add_row(*_row(duel), "kept" if duel.won else "")
    if outcome.final is not None:
        table.add_row(*_row(outcome.final), "best" if outcome.best else "not again")
    return table


def _row(duel: "Duel") -> tuple[str, ...]:
    words = _words(duel.candidate, "\n")
    if not duel.pairs:
        return words, "", "", "", "0"
    measured = duel.measured
    return words, f"{measured.images_per_s:.1f}", f"{measured.p50_ms:.1f}", _percent(duel.ratio), str(len(duel.pairs))


def verdict(outcome: "Outcome") -> str:
    """Says in a sentence what is best, and by how much."""
    from localcluster.tuning import MARGIN

    if not outcome.duels:
        return "Only the defaults were measured."
    if not outcome.best or outcome.final is None:
        again = f" {_words(outcome.final.candidate)} was, but not when measured again." if outcome.final else ""
        return f"The defaults are best: nothing that was tried is faster by more than {MARGIN:.0%}.{again}"
    last = outcome.final
    defaults = sorted(best.images_per_s for best, _ in last.pairs)[len(last.pairs) // 2]
    return (
        f"Best: {_words(outcome.best)}: {last.measured.images_per_s:.0f} images/s, the defaults {defaults:.0f} "
        f"({_percent(last.ratio)} in the middle of {len(last.pairs)} pairs)."
    )


def _percent(ratio: float) -> str:
    return f"{ratio - 1:+.1%}"


def _words(settings: "Settings", between: str = " ") -> str:
    return between.join(f"{variable}={value}" for variable, value in settings.items()) or "defaults"


def _keep(outcome: "Outcome", *, colocated: bool, dry_run: bool) -> None:
    """Writes the file for the next `triptych up`."""
    from localcluster.environment import config_directory
    from localcluster.machine import this_machine
    from localcluster.tuned_file import Tuned, tuned_path, write

    if dry_run or not outcome.duels:
        return
    path = tuned_path(config_directory(), colocated=colocated)
    settings = {variable: str(value) for variable, value in outcome.best.items()}
    write(path, Tuned(settings, this_machine(), date.today(), verdict(outcome)))  # noqa: DTZ011 (the user's day)
    then = "`triptych up` starts with these settings" if settings else "`triptych up` starts with the defaults"
    out().print(f"Written to {path}: {then}.", markup=False, soft_wrap=True)
