"""Shows a cluster: one table that stays up to date in a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

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
NAME_STYLES = {
    "triton": "green",
    "preprocess": "cyan",
    "inference": "magenta",
    "postprocess": "blue",
    "gateway": "yellow",
}


def cluster_view(status: ClusterStatus, now: float) -> RenderableType:
    """Returns the table of processes and, below it, where to reach the cluster."""
    if not status.processes:
        return _summary(status)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in ("process", "state", "pid", "ports", "restarts", "uptime"):
        table.add_column(heading, justify="right" if heading in ("pid", "restarts", "uptime") else "left")
    for process in status.processes:
        table.add_row(*_row(process, now))
    return Group(table, _summary(status))


def _row(process: ProcessStatus, now: float) -> tuple[str | Text, ...]:
    return (
        Text(process.title, NAME_STYLES.get(process.name, "")),
        Text(explain(process), STYLES[process.state]),
        str(process.pid or "-"),
        " ".join(f"{use} {port}" for use, port in process.ports.items()),
        str(process.restarts),
        "-" if process.pid is None or process.started_at is None else duration(now - process.started_at),
    )


def explain(process: ProcessStatus) -> str:
    """Says what a process is doing, and why where that is known."""
    return f"{process.state}: {process.detail}" if process.detail else str(process.state)


def _summary(status: ClusterStatus) -> Text:
    text = Text(f"cluster {status.phase}", STYLES.get(status.phase, "bold"))
    if status.processes:
        text.append(f"   http://{status.http}   grpc {status.grpc}", "default not bold")
    return text


def duration(seconds: float) -> str:
    """Returns a length of time as people write it: `7 s`, `3 min 20 s`, `5 h 02 min`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


class Display:
    """Shows the newest status that it was given."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: ClusterStatus | None = None
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
        """Returns the picture of the newest status."""
        with self._lock:
            status = self._status
        return Text("starting ...", "cyan") if status is None else cluster_view(status, time.time())


def changes(before: ClusterStatus | None, after: ClusterStatus) -> list[str]:
    """Returns a line for every process, and for the cluster, whose state changed."""
    known = {} if before is None else {process.title: process for process in before.processes}
    lines = [_line(process) for process in after.processes if _changed(known.get(process.title), process)]
    if before is None or before.phase is not after.phase:
        lines.append(f"cluster {after.phase}")
    return lines


def _changed(before: ProcessStatus | None, after: ProcessStatus) -> bool:
    if after.state is ProcessState.STARTING and after.pid is None:
        return False  # its turn comes in a moment
    return before is None or (before.state, before.pid, before.detail) != (after.state, after.pid, after.detail)


def _line(process: ProcessStatus) -> str:
    where = f" (pid {process.pid})" if process.pid else ""
    return f"{process.title} {explain(process)}{where}"


@contextmanager
def display(console: Console) -> Iterator[Display]:
    """Opens a display; in a terminal its table stays below whatever else is printed."""
    shown = Display(console)
    if not console.is_terminal:
        yield shown
        return
    with Live(get_renderable=shown.view, console=console, refresh_per_second=8):
        yield shown
