"""Starts, follows and stops a cluster from another process."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from localcluster import leash, logfiles
from localcluster.environment import inherited
from localcluster.layout import python_module
from localcluster.options import UpOptions
from localcluster.state import ClusterStatus, Identity, Phase, StateDirectory

STOP_TIMEOUT_S = 75.0
"""More than the supervisor takes when every rank of processes has to be killed."""


class UpError(RuntimeError):
    """Says why a cluster did not come up, with the end of the log that tells more."""

    def __init__(self, message: str, log: Path, tail: list[str]) -> None:
        super().__init__(message)
        self.log = log
        self.tail = tail

    @classmethod
    def of(cls, message: str, log: Path) -> Self:
        """Reads the end of the log; Triton's tables are left out."""
        lines = [line for line in logfiles.tail(log, 80) if not line.startswith(("|", "+"))]
        return cls(message, log, lines[-20:])


def detach(options: UpOptions) -> Identity:
    """Starts a supervisor that outlives this process and its terminal.

    Raises:
        StateError: the state directory cannot be used.
    """
    return _spawn(options, (), {})


def attach(options: UpOptions, variables: Mapping[str, str]) -> Identity:
    """Starts a supervisor that ends with this process. Call it from the main thread: it ends with that, too.

    Args:
        options: the cluster.
        variables: for its processes, above what they inherit.

    Raises:
        StateError: the state directory cannot be used.
    """
    return _spawn(options, (sys.executable, "-IS", leash.__file__, str(os.getpid())), variables)


def _spawn(options: UpOptions, launcher: Sequence[str], variables: Mapping[str, str]) -> Identity:
    StateDirectory(options.state_dir).prepare()
    log = supervisor_log(options.state_dir)
    logfiles.begin(log)
    argv = [*launcher, *python_module(sys.executable), "localcluster", options.to_json()]
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_APPEND, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return Identity.of(
        os.posix_spawn(sys.executable, argv, inherited() | dict(variables), file_actions=streams, setsid=True)
    )


def supervisor_log(state_dir: Path) -> Path:
    """Returns the log file of a supervisor in the background."""
    return StateDirectory(state_dir).logs / "supervisor.log"


def follow(
    state_dir: Path, supervisor: Identity, watch: Callable[[ClusterStatus], None], timeout_s: float
) -> ClusterStatus:
    """Waits until a cluster takes requests, and tells `watch` what changes.

    Raises:
        UpError: it ended, or was not ready in time.
    """
    state, deadline = StateDirectory(state_dir), time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        alive = supervisor.alive()  # asked before reading: what it wrote before it ended is then seen
        status = state.read()
        if status is not None and status.supervisor != supervisor:
            status = None  # left by an earlier cluster
        if not alive:
            raise _failure(state, status)
        if status is not None:
            watch(status)
            if status.serving:
                return status
        time.sleep(0.05)
    raise UpError.of(f"The cluster was not ready within {timeout_s:g} s", supervisor_log(state_dir))


def _failure(state: StateDirectory, status: ClusterStatus | None) -> UpError:
    if status is None or status.phase is not Phase.FAILED or not status.processes:
        log = supervisor_log(state.path)
        lines = logfiles.tail(log)
        return UpError(lines[-1] if lines else "The supervisor ended without a word.", log, lines[:-1])
    return UpError.of(status.detail, Path(status.processes[0].log))


def down(state_dir: Path, watch: Callable[[ClusterStatus], None], timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """Stops the cluster and waits until it is gone; says whether there was one.

    Raises:
        TimeoutError: it did not end in time; then it has been killed.
    """
    state = StateDirectory(state_dir)
    status = state.running()
    if status is None:
        return False
    supervisor, deadline = status.supervisor, time.monotonic() + timeout_s
    send(status, signal.SIGTERM)
    while supervisor.alive():
        if time.monotonic() > deadline:
            send(status, signal.SIGKILL)  # its children die with it
            raise TimeoutError(f"The cluster did not stop within {timeout_s:g} s and was killed.")
        watch(state.read() or status)
        time.sleep(0.05)
    watch(state.read() or status)
    return True


def end(state_dir: Path) -> None:
    """Ends a cluster at once: what it has in work is lost. Without a cluster there is nothing to do."""
    status = StateDirectory(state_dir).running()
    if status is not None:
        send(status, signal.SIGINT)
        down(state_dir, lambda _status: None)  # the second signal, which the supervisor takes for impatience


def send(status: ClusterStatus, number: signal.Signals) -> None:
    """Signals the supervisor, and never a process that has its pid by now."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(status.supervisor.pid)
        try:
            if status.supervisor.alive():  # asked while the pid cannot be reused
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
