"""What a person sees of a cluster that starts, runs and stops."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

from localcluster import control
from localcluster.cluster import run_cluster
from localcluster.environment import state_flag, triton_directory
from localcluster.layout import GRPC_PORT, HTTP_PORT
from localcluster.loglines import prefixed, readable
from localcluster.logview import LogView
from localcluster.options import UpOptions
from localcluster.state import ClusterStatus, Identity, Phase, ProcessState, StateDirectory
from localcluster.supervisor import StartError
from localcluster.table import Display, display, print_cluster
from localcluster.triton_runtime import ensure_runtime

LOG_PAUSE_S = 0.2
CTRL_C = "Ctrl-C stops the cluster."


def up_attached(options: UpOptions, console: Console, *, logs: bool) -> None:
    """Runs a cluster in this terminal until Ctrl-C.

    Raises:
        RuntimeError, ValueError, OSError: it did not come up; the message says why.
    """
    prepare_triton(console)
    folder = StateDirectory(options.state_dir).logs
    with display(console, hint=CTRL_C) as shown, _logs_shown(folder, console, wanted=logs):
        run_cluster(options, _Guide(options, shown, console, "" if console.is_terminal else CTRL_C).show)


def up_detached(options: UpOptions, console: Console) -> None:
    """Starts a cluster in the background and returns when it is ready.

    Raises:
        RuntimeError, OSError: it did not come up; the message says why.
    """
    prepare_triton(console)
    supervisor = control.detach(options)
    try:
        _follow(options, supervisor, console)
    except KeyboardInterrupt:
        console.print("Interrupted: stopping what has started.")
        down(options.state_dir, console)
        raise
    flag = state_flag(options.state_dir)
    console.print(
        f"It runs in the background: `triptych status{flag}`, `triptych down{flag}`.", markup=False, soft_wrap=True
    )


def join(state_dir: Path, running: ClusterStatus, console: Console, timeout_s: float) -> None:
    """Waits until a cluster that somebody else started takes requests, and shows it.

    Raises:
        UpError: it ended, or was not ready in time.
    """
    if running.serving:
        print_cluster(console, running)
        return
    with display(console) as shown:
        control.follow(state_dir, running.supervisor, shown.show, timeout_s)


def _follow(options: UpOptions, supervisor: Identity, console: Console) -> None:
    # The supervisor keeps the time; this one only ends the wait for a supervisor that hangs.
    patience_s = options.timeout_s + control.STOP_TIMEOUT_S
    with display(console) as shown:
        control.follow(options.state_dir, supervisor, _Guide(options, shown, console).show, patience_s)


def down(state_dir: Path, console: Console) -> bool:
    """Stops a cluster and shows how it drains; says whether there was one.

    Raises:
        TimeoutError: it did not stop in time and was killed.
    """
    running = StateDirectory(state_dir).running()
    if running is None:
        return False
    with display(console, running) as shown:
        return control.down(state_dir, shown.show)


def prepare_triton(console: Console) -> None:
    """Installs Triton unless it is there.

    Raises:
        InstallError: this machine cannot run it, or the packages cannot be had.
    """
    with console.status("Preparing the Triton runtime (the first time it is installed, which takes a minute) ..."):
        ensure_runtime(triton_directory())


def show_log(error: Exception, console: Console) -> None:
    """Prints the end of the log that tells more about a failed start."""
    if isinstance(error, StartError):
        error = control.UpError.of(str(error), Path(error.process.log))
    if isinstance(error, control.UpError) and error.tail:
        console.print(f"The end of {error.log}:", style="bold", markup=False, soft_wrap=True)
        for line in error.tail:
            console.print(Text("  ") + readable(line), soft_wrap=True)


class _Guide:
    """Passes statuses to a display, and says once what a newcomer wants to know."""

    def __init__(self, options: UpOptions, shown: Display, console: Console, hint: str = "") -> None:
        self._options = options
        self._shown = shown
        self._console = console
        self._hint = hint
        self._told: set[Phase] = set()

    def show(self, status: ClusterStatus) -> None:
        self._shown.show(status)
        if status.phase in self._told:
            return
        self._told.add(status.phase)
        for line in self._words(status):
            self._console.print(line, markup=False, soft_wrap=True)

    def _words(self, status: ClusterStatus) -> list[str]:
        if status.phase is Phase.STARTING:
            return self._moved(status)
        if status.phase is Phase.READY:
            return self._next_steps(status)
        first = status.phase is Phase.DEGRADED and status.serving and Phase.READY not in self._told
        return [*self._next_steps(status), *self._lacking(status)] if first else []

    def _lacking(self, status: ClusterStatus) -> list[str]:
        flag = state_flag(self._options.state_dir)
        lacking = [each for each in status.processes if each.state is not ProcessState.READY]
        return [f"Without {each.title}, which does not start: `triptych logs {each.title}{flag}`." for each in lacking]

    def _moved(self, status: ClusterStatus) -> list[str]:
        asked = (
            ("HTTP", self._options.http_port, HTTP_PORT, status.http),
            ("gRPC", self._options.grpc_port, GRPC_PORT, status.grpc),
        )
        return [
            f"Port {default} is taken; {name} is at {address}."
            for name, wanted, default, address in asked
            if wanted is None and not address.endswith(f":{default}")
        ]

    def _next_steps(self, status: ClusterStatus) -> list[str]:
        flag = state_flag(self._options.state_dir)
        steps = [f"Ready. Try: triptych classify PHOTO.jpg{flag}   or open {status.web}/docs"]
        return [*steps, self._hint] if self._hint else steps


@contextmanager
def _logs_shown(folder: Path, console: Console, *, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_show_logs, args=(folder, console, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _show_logs(folder: Path, console: Console, stop: threading.Event) -> None:
    view = LogView(folder)
    view.read(lines=0)  # what an earlier cluster left
    while not stop.wait(LOG_PAUSE_S):
        print_lines(view, console)


def follow_logs(view: LogView, console: Console) -> None:
    """Prints what is added to the logs until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(LOG_PAUSE_S)
            print_lines(view, console)


def print_lines(view: LogView, console: Console, lines: int | None = None) -> None:
    """Prints what was added to the logs, each line with the name of its process."""
    for title, line in view.read(lines):
        console.print(prefixed(title, line), soft_wrap=True)
