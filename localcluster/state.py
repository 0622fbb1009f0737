"""What a running cluster tells other programs: `cluster.json` in its state directory, replaced atomically."""

import fcntl
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

log = logging.getLogger("triptych")


class StateError(RuntimeError):
    """Says why a state directory cannot be used."""


class AlreadyRunningError(RuntimeError):
    """Says that another supervisor works in this state directory."""


class ProcessState(StrEnum):
    """Names what a process is doing."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "not ready"
    WAITING = "waiting"
    DRAINING = "draining"
    STOPPED = "stopped"


class Phase(StrEnum):
    """Names what the cluster as a whole is doing."""

    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Identity:
    """Tells one process from another that later got the same pid."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Identifies a process.

        Raises:
            ProcessLookupError: there is none, or only its remains.
        """
        try:
            # Field 2 is the program's name in parentheses and may hold anything, so count from its end.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            raise ProcessLookupError(f"no process {pid}") from None
        if fields[0] == "Z":
            raise ProcessLookupError(f"process {pid} has ended")
        return cls(pid, int(fields[19]))

    def alive(self) -> bool:
        """Says whether this very process runs."""
        try:
            return Identity.of(self.pid) == self
        except ProcessLookupError:
            return False


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """Describes one process of the cluster."""

    name: str
    replica: int
    state: ProcessState
    log: str
    ports: dict[str, int]
    pid: int | None = None
    restarts: int = 0
    started_at: float | None = None
    """When it was started last, in Unix time."""
    detail: str = ""
    """Why it is in this state, where that helps."""
    optional: bool = False
    """Whether the cluster answers requests without it."""

    @property
    def title(self) -> str:
        """Names this replica, such as `preprocess-2`."""
        return f"{self.name}-{self.replica}"


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """Describes a cluster."""

    phase: Phase
    supervisor: Identity
    grpc: str
    """Where the gateway serves gRPC, `host:port`, or `https://host:port` over TLS."""
    http: str
    model_repository: str
    processes: tuple[ProcessStatus, ...] = ()
    detail: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    """What it was started with, by the names of the options; ports as they were settled."""

    @property
    def web(self) -> str:
        """Returns the address of the gateway's HTTP side, as browsers take it."""
        return f"{'https' if self.grpc.startswith('https') else 'http'}://{self.http}"

    @property
    def healthy(self) -> bool:
        """Says whether everything is ready."""
        return self.phase is Phase.READY

    @property
    def serving(self) -> bool:
        """Says whether it has started and everything that it needs to answer requests is ready."""
        needed = (each.state is ProcessState.READY for each in self.processes if not each.optional)
        return self.phase in (Phase.READY, Phase.DEGRADED) and all(needed)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data, the content of `cluster.json` and of `triptych status --json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Reads what `to_json` wrote."""
        processes = tuple(ProcessStatus(**{**item, "state": ProcessState(item["state"])}) for item in data["processes"])
        return cls(
            **{
                **data,
                "phase": Phase(data["phase"]),
                "supervisor": Identity(**data["supervisor"]),
                "processes": processes,
            }
        )


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Is the folder where one cluster keeps its state and logs."""

    path: Path

    @property
    def logs(self) -> Path:
        """Returns the folder of the log files."""
        return self.path / "logs"

    @property
    def experiments(self) -> Path:
        """Returns the folder of what experiments and feedback have brought; it outlives the cluster."""
        return self.path / "experiments"

    def write(self, status: ClusterStatus) -> None:
        """Publishes a status; readers see the old one or the new one, never a part.

        Where it cannot be written, such as on a full disk, they go on seeing the old one: the cluster runs on.
        """
        partial = self._file.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(status.to_json(), indent=2))
            partial.replace(self._file)
        except OSError as error:
            log.warning("the state of the cluster cannot be written: %s", error)

    def read(self) -> ClusterStatus | None:
        """Returns the status of the cluster; None when no cluster was left here.

        A cluster whose supervisor is gone is told as stopped, or failed with its last words.

        Raises:
            StateError: the folder cannot be read.
        """
        try:
            status = ClusterStatus.from_json(json.loads(self._file.read_text()))
        except (FileNotFoundError, ValueError, TypeError, KeyError):  # a file of another release counts as none
            return None
        except OSError as error:
            raise self._unusable(error) from error
        if status.supervisor.alive() or status.phase in (Phase.FAILED, Phase.STOPPED):
            return status
        return replace(status, phase=Phase.FAILED, detail="The supervisor ended without saying goodbye.", processes=())

    def running(self) -> ClusterStatus | None:
        """Returns the status of a cluster that has not ended."""
        status = self.read()
        return None if status is None or status.phase in (Phase.FAILED, Phase.STOPPED) else status

    def prepare(self) -> None:
        """Makes the folders.

        Raises:
            StateError: they cannot be made, or nothing can be written there.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path), tempfile.TemporaryFile(dir=self.logs):
                pass
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> StateError:
        return StateError(
            f"The state folder {self.path} cannot be used: {error.strerror}. Choose another one with --state-dir."
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other supervisors out while the context is open; the kernel ends the lock with the process.

        Raises:
            AlreadyRunningError: another supervisor has it.
            StateError: the folder cannot be used.
        """
        self.prepare()
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunningError(f"a cluster already runs in {self.path}") from None
            yield

    @property
    def _file(self) -> Path:
        return self.path / "cluster.json"
