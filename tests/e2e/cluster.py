"""A whole cluster: real processes, real Triton, free ports, a state folder of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
PHOTOGRAPHS = ROOT / "tests" / "photographs"


def triptych(
    *arguments: str, stdin: bytes | None = None, variables: Mapping[str, object] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Runs the command line as a user does; every answer is computed, since outages are what most tests are about."""
    chosen = {"TRIPTYCH_RESULT_CACHE_BYTES": 0, **(variables or {})}
    command = [
        "env",
        *(f"{name}={value}" for name, value in chosen.items()),
        sys.executable,
        "-m",
        "triptych.cli",
        *arguments,
    ]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=150)


@dataclass(frozen=True)
class Cluster:
    """Is a running cluster."""

    state_dir: Path
    http: str
    """Base URL of the gateway."""
    grpc: str
    """Address of the gateway."""

    def status(self) -> dict[str, Any]:
        """Returns what `triptych status --json` says."""
        found: dict[str, Any] = json.loads(triptych("status", "--json", "--state-dir", str(self.state_dir)).stdout)
        return found

    def process(self, name: str, replica: int = 1) -> dict[str, Any]:
        """Returns one process."""
        return next(each for each in self.status()["processes"] if (each["name"], each["replica"]) == (name, replica))

    def pid(self, name: str, replica: int = 1) -> int:
        """Returns one process's pid."""
        return int(self.process(name, replica)["pid"])

    def replaced(self, name: str, pid: int) -> bool:
        """Says whether another process has taken the place of `pid` as the first replica, and is ready."""
        process = self.process(name)
        return process["pid"] not in (None, pid) and process["state"] == "ready"

    def ready(self) -> bool:
        """Says whether the gateway is there and ready."""
        try:
            return httpx.get(f"{self.http}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def log_lines(self) -> list[dict[str, Any]]:
        """Returns what our own processes have logged."""
        files = (self.state_dir / "logs").glob("*.log")
        lines = (line for file in files for line in file.read_text().splitlines() if line.startswith("{"))
        return [json.loads(line) for line in lines]

    def post(self, content: bytes, media_type: str = "image/png", query: str = "", **more: str) -> httpx.Response:
        """Classifies a raw body; `more` are headers."""
        headers = {"Content-Type": media_type, **more}
        return httpx.post(f"{self.http}/api/v1/classify{query}", content=content, headers=headers, timeout=30)


def until(condition: Callable[[], bool], within_s: float) -> float:
    """Waits for a condition and returns how long that took, in seconds; fails when it takes too long."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < within_s, f"still not so after {within_s} s"
        time.sleep(0.02)
    return time.monotonic() - start


def start_cluster(state_dir: Path, *options: str, variables: Mapping[str, object] | None = None) -> Cluster:
    """Starts a cluster in the background and waits until it is ready."""
    place = ("--state-dir", str(state_dir), "--http-port", "0", "--grpc-port", "0")
    result = triptych("up", "--detach", "--no-tuned", *place, *options, variables=variables)
    assert result.returncode == 0, result.stdout.decode() + result.stderr.decode()
    status = json.loads(triptych("status", "--json", "--state-dir", str(state_dir)).stdout)
    ports = next(each["ports"] for each in status["processes"] if each["name"] == "gateway")
    scheme = "https" if status["grpc"].startswith("https") else "http"
    return Cluster(state_dir, f"{scheme}://127.0.0.1:{ports['http']}", f"127.0.0.1:{ports['grpc']}")
