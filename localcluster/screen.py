"""What a person sees of a cluster that starts, runs and stops."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from localcluster import control
from localcluster.cluster import run_cluster
from localcluster.environment import triton_directory
from localcluster.layout import GRPC_PORT, HTTP_PORT
from localcluster.logfiles import LogReader
from localcluster.options import UpOptions
from localcluster.state import ClusterStatus, Identity, Phase, StateDirectory
from localcluster.supervisor import StartError
from localcluster.table import NAME_STYLES, Display, cluster_view, display
from localcluster.triton_runtime import ensure_runtime

LOG_PAUSE_S = 0.2


def up_attached(options: UpOptions, console: Console, *, logs: bool) -> None:
    """Runs a cluster in this terminal until Ctrl-C.

    Raises:
        RuntimeError, ValueError, OSError: it did not come up; the message says why.
    """
    prepare_triton(console)
    with display(console) as shown, _logs_shown(StateDirectory(options.state_dir).logs, console, wanted=logs):
        run_cluster(options, _Guide(options, shown, console).show)


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
    console.print("It runs in the background: `triptych status`, `triptych down`.", markup=False)


def join(state_dir: Path, running: ClusterStatus, console: Console, timeout_s: float) -> None:
    """Waits until a cluster that somebody else started is ready, and shows it.

    Raises:
        UpError: it ended, or was not ready in time.
    """
    if running.healthy:
        console.print(cluster_view(running, time.time()))
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
    if StateDirectory(state_dir).running() is None:
        return False
    with display(console) as shown:
        return control.down(state_dir, shown.show)


def prepare_triton(console: Console) -> None:
    """Installs Triton unless it is there.

    Raises:
        TritonInstallError: this machine cannot run it, or the packages cannot be had.
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
            console.print(Text(f"  {line}", "dim"), soft_wrap=True)


class _Guide:
    """Passes statuses to a display, and says once what a newcomer wants to know."""

    def __init__(self, options: UpOptions, shown: Display, console: Console) -> None:
        self._options = options
        self._shown = shown
        self._console = console
        self._told: set[Phase] = set()

    def show(self, status: ClusterStatus) -> None:
        self._shown.show(status)
        if status.phase in self._told:
            return
        self._told.add(status.phase)
        lines = {Phase.STARTING: self._moved(status), Phase.READY: _next_steps(status)}.get(status.phase, [])
        for line in lines:
            self._console.print(line, markup=False, soft_wrap=True)

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


def _next_steps(status: ClusterStatus) -> list[str]:
    return [f"Ready. Try: triptych classify PHOTO.jpg   or open http://{status.http}/docs"]


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
    readers: dict[Path, LogReader] = {}
    while not stop.wait(LOG_PAUSE_S):
        for path in sorted(folder.glob("*-[0-9]*.log")):
            for line in readers.setdefault(path, LogReader(path)).read():
                prefix = Text(f"{path.stem:14} | ", NAME_STYLES.get(path.stem.rpartition("-")[0], ""))
                console.print(prefix + Text.from_ansi(line), soft_wrap=True)
