"""Shows a cluster: one table that stays up to date in a terminal and fits into it, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.control import Control
from rich.live import Live
from rich.text import Text

from localcluster.layout import STAGES
from localcluster.loglines import NAME_STYLES
from localcluster.state import ClusterStatus, Phase, ProcessState, ProcessStatus

STYLES: dict[ProcessState | Phase, str] = {
    ProcessState.READY: "green",
    ProcessState.STARTING: "cyan",
    ProcessState.UNREADY: "yellow",
    ProcessState.WAITING: "red",
    ProcessState.DRAINING: "yellow",
    ProcessState.STOPPED: "dim",
    Phase.READY: "bold green",
    Phase.DEGRADED: "bold yellow",
    Phase.FAILED: "bold red",
}
COLUMNS = ("process", "state", "pid", "ports", "restarts", "uptime")
RIGHT = frozenset({"pid", "restarts", "uptime"})
EXPENDABLE = ("metrics", "uptime", "pid", "restarts", "ports")
"""What a narrow terminal goes without, in this order; `metrics` are the ports of that name."""
NEEDS = {"inference": ("triton",), "gateway": STAGES}
"""Whose readiness depends on whose."""
GAP = 2
WIDE = 200


@dataclass(frozen=True, slots=True)
class Picture:
    """Is what there is to see of a cluster, in lines."""

    heading: list[Text] = field(default_factory=list)
    rows: list[Text] = field(default_factory=list)
    """One per process."""
    urgent: list[Text] = field(default_factory=list)
    """The rows once more, those of processes that are not ready first."""
    notes: list[Text] = field(default_factory=list)
    """Why something is not ready."""
    summary: list[Text] = field(default_factory=list)
    hints: list[Text] = field(default_factory=list)

    def lines(self) -> list[Text]:
        """Returns everything."""
        blank = [Text()] if self.rows else []
        return [*self.heading, *self.rows, *blank, *self.notes, *self.summary, *self.hints]

    def within(self, height: int) -> list[Text]:
        """Returns what matters most in so many lines; the addresses stay to the last."""
        choices = (self.lines(), [*self.heading, *self.rows, *self.notes, *self.summary], [*self.rows, *self.summary])
        for lines in choices:
            if len(lines) <= height:
                return lines
        room = max(0, height - len(self.summary) - 1)
        rest = [Text(f"... and {len(self.rows) - room} more", "dim")]
        return [*self.urgent[:room], *rest, *self.summary][-max(1, height) :]


def picture(status: ClusterStatus, now: float, width: int, hints: Sequence[str] = ()) -> Picture:
    """Draws a cluster for a screen of this width."""
    told = [Text(hint, "dim") for hint in hints]
    if not status.processes:
        return Picture(summary=_summary(status, width), hints=told)
    heading, *rows = _fitting_table(status, now, width)
    rule = Text("─" * _width((heading, *rows)), "dim")
    ready = [process.state is ProcessState.READY for process in status.processes]
    urgent = [row for _, row in sorted(zip(ready, rows, strict=True), key=lambda pair: pair[0])]
    return Picture([heading, rule], rows, urgent, _notes(status), _summary(status, width), told)


def _fitting_table(status: ClusterStatus, now: float, width: int) -> list[Text]:
    tables = (_table(status, now, frozenset(EXPENDABLE[:count])) for count in range(len(EXPENDABLE)))
    least = _table(status, now, frozenset(EXPENDABLE))
    return next((table for table in tables if _width(table) <= width), least)


def _width(lines: Sequence[Text]) -> int:
    return max(line.cell_len for line in lines)


def _table(status: ClusterStatus, now: float, without: frozenset[str]) -> list[Text]:
    """Returns the heading and the rows, in columns as wide as their content."""
    names = [name for name in COLUMNS if name not in without]
    cells = [{name: Text(name, "bold") for name in COLUMNS}]
    cells += [_cells(process, now, metrics="metrics" not in without) for process in status.processes]
    widths = {name: max(row[name].cell_len for row in cells) for name in names}
    return [_line(row, widths) for row in cells]


def _line(cells: dict[str, Text], widths: dict[str, int]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for name, width in widths.items():
        padding = " " * (width - cells[name].cell_len)
        line.append(" " * GAP if line else "")
        line.append_text(Text(padding) + cells[name] if name in RIGHT else cells[name] + padding)
    line.rstrip()
    return line


def _cells(process: ProcessStatus, now: float, *, metrics: bool) -> dict[str, Text]:
    ports = {use: port for use, port in process.ports.items() if metrics or use != "metrics"}
    began = None if process.pid is None else process.started_at
    return {
        "process": Text(process.title, NAME_STYLES.get(process.name, "")),
        "state": Text(process.state, STYLES[process.state]),
        "pid": Text(str(process.pid or "-")),
        "ports": Text(" ".join(f"{use} {port}" for use, port in ports.items())),
        "restarts": Text(str(process.restarts)),
        "uptime": Text("-" if began is None else duration(now - began)),
    }


def _notes(status: ClusterStatus) -> list[Text]:
    reasons = [(process.title, reason(process, status)) for process in status.processes]
    return [Text(f"{title}: {why}", "yellow") for title, why in reasons if why]


def reason(process: ProcessStatus, status: ClusterStatus) -> str:
    """Says why a process is not ready, as far as that is known; empty when it is."""
    if process.state is not ProcessState.UNREADY:
        return process.detail
    others = [
        other.title
        for other in status.processes
        if other.name in NEEDS.get(process.name, ()) and other.state is not ProcessState.READY
    ]
    return f"needs {', '.join(others)}" if others else process.detail


def explain(process: ProcessStatus) -> str:
    """Says what a process is doing, and why where that is known."""
    return f"{process.state}: {process.detail}" if process.detail else str(process.state)


def _summary(status: ClusterStatus, width: int) -> list[Text]:
    phase = Text(f"cluster {status.phase}", STYLES.get(status.phase, "bold"))
    if not status.processes:
        return [phase]
    where = [Text(status.web), Text(f"grpc {status.grpc}")]
    choices = [[Text("   ").join([phase, *where])], [phase, Text("   ").join(where)]]
    return next((lines for lines in choices if _width(lines) <= width), [phase, *where])


def duration(seconds: float) -> str:
    """Returns a length of time as people write it: `7 s`, `3 min 20 s`, `5 h 02 min`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def print_cluster(console: Console, status: ClusterStatus, hints: Sequence[str] = ()) -> None:
    """Prints the table of processes and, below it, what is wrong and where to reach the cluster."""
    width = console.width if console.is_terminal else WIDE  # a file or a pipe holds lines of any length
    for line in picture(status, time.time(), width, hints).lines():
        console.print(line, soft_wrap=True)


class Display:
    """Shows the newest status that it was given."""

    def __init__(self, console: Console, status: ClusterStatus | None = None, hint: str = "") -> None:
        """Begins.

        Args:
            console: where to show it.
            status: what the user knows already.
            hint: a line for the end of the table in a terminal.
        """
        self._console = console
        self._status = status
        self._hints = [hint] if hint else []
        self._size = console.size
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def show(self, status: ClusterStatus) -> None:
        """Takes a new status; off a terminal, writes a line for everything that changed."""
        with self._lock:
            before, self._status = self._status, status
        if not self._console.is_terminal:
            for line in changes(before, status):
                self._console.print(
                    f"{time.monotonic() - self._began:6.1f} s  {line}", markup=False, highlight=False, soft_wrap=True
                )

    def view(self) -> RenderableType:
        """Returns the picture of the newest status, which fits the terminal."""
        return self

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if console.size != self._size:  # the terminal has rearranged what stood there: where is not known
            self._size = console.size
            yield Control.clear()
            yield Control.home()
        with self._lock:
            status = self._status
        if status is None:
            yield Text("starting ...", "cyan")
            return
        for line in picture(status, time.time(), options.max_width, self._hints).within(console.size.height):
            line.no_wrap, line.overflow = True, "ellipsis"
            yield line


def changes(before: ClusterStatus | None, after: ClusterStatus) -> list[str]:
    """Returns a line for every process, and for the cluster, whose state changed."""
    known = {} if before is None else {process.title: process for process in before.processes}
    lines = [_change(process) for process in after.processes if _changed(known.get(process.title), process)]
    if before is None or before.phase is not after.phase:
        lines.append(f"cluster {after.phase}")
    return lines


def _changed(before: ProcessStatus | None, after: ProcessStatus) -> bool:
    if after.state is ProcessState.STARTING and after.pid is None:
        return False  # its turn comes in a moment
    return before is None or (before.state, before.pid, before.detail) != (after.state, after.pid, after.detail)


def _change(process: ProcessStatus) -> str:
    where = f" (pid {process.pid})" if process.pid else ""
    return f"{process.title} {explain(process)}{where}"


@contextmanager
def display(console: Console, status: ClusterStatus | None = None, hint: str = "") -> Iterator[Display]:
    """Opens a display; in a terminal its table stays below whatever else is printed."""
    shown = Display(console, status, hint)
    if not console.is_terminal:
        yield shown
        return
    live = Live(get_renderable=shown.view, console=console, refresh_per_second=8)
    live.start()
    try:
        yield shown
    finally:
        with suppress(OSError):  # the terminal may have been closed
            live.stop()
