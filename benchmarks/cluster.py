"""Starts a Triptych cluster of its own for a measurement, and says which process is which."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import children
from benchmarks.workload import ROOT


@dataclass(frozen=True, slots=True)
class Cluster:
    """Is a running cluster."""

    grpc_port: int
    http_port: int
    triton_port: int
    """Of the Open Inference Protocol over gRPC."""
    processes: dict[str, list[int]]
    """Process ids by service; Triton's hold those of its models. The supervisor is one too."""

    def port(self, transport: str) -> int:
        """Returns the gateway's port for `grpc`, `http` or `json`."""
        return self.grpc_port if transport == "grpc" else self.http_port


@contextmanager
def running(
    options: tuple[str, ...] = (), variables: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[Cluster]:
    """Starts a cluster on free ports, and ends it.

    Args:
        options: more of `triptych up`.
        variables: of the environment, which every process inherits.
        folder: for its state; by default one that goes with it.

    Raises:
        subprocess.CalledProcessError: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="triptych-bench-") as own:
        place = ["--state-dir", str(folder or own)]
        start = ["up", "--detach", "--no-tuned", "--http-port", "0", "--grpc-port", "0", *place, *options]
        _triptych(start, variables)
        try:
            yield _describe(place)
        finally:
            _triptych(["down", *place], variables)


def _triptych(arguments: list[str], variables: Mapping[str, str] | None = None) -> str:
    command = [sys.executable, "-m", "triptych.cli", *arguments]
    environment = ["env", *(f"{name}={value}" for name, value in (variables or {}).items())]
    done = subprocess.run([*environment, *command], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout


def _describe(place: list[str]) -> Cluster:
    status = json.loads(_triptych(["status", "--json", *place]))
    processes: dict[str, list[int]] = {"supervisor": [status["supervisor"]["pid"]]}
    for process in status["processes"]:
        processes.setdefault(process["name"], []).extend(children(process["pid"]))
    ports = {name: int(status[name].rpartition(":")[2]) for name in ("grpc", "http")}
    triton = next(process for process in status["processes"] if process["name"] == "triton")
    return Cluster(ports["grpc"], ports["http"], triton["ports"]["grpc"], processes)


def from_state(folder: Path) -> Cluster:
    """Describes a cluster that somebody else has started.

    Raises:
        subprocess.CalledProcessError: there is none.
    """
    return _describe(["--state-dir", str(folder)])
