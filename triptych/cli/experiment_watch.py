"""`triptych experiment watch`: an experiment as it goes, on a terminal or as a line for each change."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from triptych.cli.connection import Connection, connected
from triptych.cli.experiment_options import Name
from triptych.cli.experiment_view import Standing, decision_line, view
from triptych.cli.experiment_words import RUNNING, split_of, state_of
from triptych.cli.output import out

if TYPE_CHECKING:
    from triptych import ClassifyError
    from triptych.cli.experiment_calls import Experiments
    from triptych.experiments.v1.experiment_pb2 import Verdict

DECISIONS = 8
"""Of the log, that are asked for and shown."""
PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "ABORTED"})
"""Failures that a watcher sits out."""
INTERRUPTED = 130
ROLLED_BACK = 3


@connected
def watch(
    connection: Connection,
    name: Name,
    interval: Annotated[float, typer.Option(min=0.2, metavar="SECONDS", help="How often to look.")] = 2.0,
    until_done: Annotated[
        bool,
        typer.Option(
            "--until-done",
            help="End when the experiment ends: with 0 where an arm was promoted, with 3 where it was stopped.",
        ),
    ] = False,
) -> None:
    """Shows an experiment as it goes, until Ctrl-C: keys, verdicts with their ranges, and what was done.

    A range is drawn around zero, which is no difference to the control; the dotted bar is the margin that the rules
    allow. Where the output is no terminal, every change is a line.
    """
    state = ""
    try:
        state = _watch(connection, name, interval, until_done=until_done)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED if until_done else 0) from None
    raise typer.Exit(0 if state == "concluded" else ROLLED_BACK)


def _watch(connection: Connection, name: str, interval_s: float, *, until_done: bool) -> str:
    """Watches until the experiment ends, where that is asked for, and returns how."""
    from triptych.cli.experiment_calls import Experiments

    with connection.line() as line:
        experiments = Experiments(line, connection.timeout_s)
        newest = look(experiments, name)
        with _screen(out()) as screen:
            screen.show(newest)
            while not (until_done and state_of(newest.experiment) not in {"draft", *RUNNING}):
                time.sleep(interval_s)
                newest = _look_again(connection, experiments, screen, newest)
                screen.show(newest)
    return state_of(newest.experiment)


def look(experiments: "Experiments", name: str) -> Standing:
    """Returns how an experiment stands now.

    Raises:
        ClassifyError: a call failed.
    """
    return Standing(experiments.get(name), experiments.verdicts(name), experiments.last_decisions(name, DECISIONS))


def _look_again(
    connection: Connection, experiments: "Experiments", screen: "Lines | Picture", before: Standing
) -> Standing:
    from triptych import ClassifyError

    try:
        newest = look(experiments, before.experiment.name)
    except ClassifyError as error:
        if error.code not in PASSING:
            raise
        screen.trouble(_trouble(connection, error))
        return before
    screen.trouble("")
    return newest


def _trouble(connection: Connection, error: "ClassifyError") -> str:
    return f"No answer: {connection.explain(error)}"


class Lines:
    """Prints a line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: Standing | None = None
        self._trouble = ""

    def show(self, newest: Standing) -> None:
        """Takes how it stands."""
        for line in changes(self._before, newest):
            self._print(line)
        self._before = newest

    def trouble(self, message: str) -> None:
        """Takes why nothing is known; empty once it is."""
        if message != self._trouble:
            self._print(Text(message or "There is an answer again."))
        self._trouble = message

    def _print(self, line: Text) -> None:
        self._console.print(Text(f"{datetime.now().astimezone():%H:%M:%S}  ").append_text(line), soft_wrap=True)


def changes(before: Standing | None, after: Standing) -> Iterator[Text]:
    """Yields a line for what changed: the state, the split, what a verdict says in words, and what was done."""
    told = _told(after)
    if before is None or _told(before) != told:
        yield Text(told)
    known = {each.candidate: _gist(each) for each in before.verdicts} if before else {}
    for verdict in after.verdicts:
        if known.get(verdict.candidate) != _gist(verdict):
            yield Text(verdict.sentence)
    last = before.decisions[0].id if before and before.decisions else 0
    yield from (decision_line(each, timed=False) for each in reversed(after.decisions) if each.id > last)


def _told(standing: Standing) -> str:
    experiment = standing.experiment
    return f"{experiment.name} {state_of(experiment)}, epoch {experiment.epoch}, {split_of(experiment)}"


def _gist(verdict: "Verdict") -> tuple[object, ...]:
    """Returns what of a verdict does not change with every request."""
    return verdict.advice, verdict.epoch, *((each.metric, each.word) for each in verdict.findings)


class Picture:
    """Is a picture that stays up to date, and fits the terminal."""

    def __init__(self) -> None:
        self._newest: Standing | None = None
        self._trouble = ""
        self._hint = "Ctrl-C ends the watch."

    def show(self, newest: Standing) -> None:
        """Takes how it stands."""
        self._newest = newest

    def end(self) -> None:
        """Leaves the last picture without the hint."""
        self._hint = ""

    def trouble(self, message: str) -> None:
        """Takes why nothing is known; empty once it is."""
        self._trouble = message

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._newest is None:
            return
        last = Text(self._trouble, "yellow") if self._trouble else Text(self._hint, "dim")
        for count in range(DECISIONS, -1, -1):  # the oldest decisions go first where the terminal is low
            drawn = view(self._newest, datetime.now(UTC), decisions=count)
            height = len(console.render_lines(drawn, options.update(height=None), pad=False))
            if height + 2 <= console.size.height or not count:
                yield drawn
                break
        yield last


@contextmanager
def _screen(console: Console) -> Iterator[Lines | Picture]:
    if not console.is_terminal:
        yield Lines(console)
        return
    from rich.live import Live

    picture = Picture()
    with Live(picture, console=console, refresh_per_second=2, vertical_overflow="crop"):
        try:
            yield picture
        finally:
            picture.end()
