"""docker-compose.yml as a running project, under a name and on ports of its own."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.containers.command import CommandError, run
from tools.containers.engine import Engine
from tools.containers.images import ROOT

STOP_TIMEOUT_S = 20
PORT, TRITON_PORT = 8081, 8001
"""Where services listen for gRPC, and Triton."""
REACHES = """
import socket
for host, port in {targets}:
    try:
        socket.create_connection((host, port), 1)
    except OSError:
        continue
    print(host, port)
"""
ESTABLISHED = "01"
"""State of a connection, as the kernel writes it."""
VARIABLES = ("HTTP_PORT=", "GRPC_PORT=", "TRIPTYCH_RESULT_CACHE_BYTES=0", "TRIPTYCH_MAX_CONNECTION_AGE_S=5")
"""Any free ports; every answer computed; connections renewed after 5 s, not 300: until then gRPC's clients know nothing
of a gateway that came back, and a rolling restart that did not wait for that would leave them without any."""


class ProofError(AssertionError):
    """Says what should have been so and was not."""


def until(condition: Callable[[], bool], what: str, within_s: float = 60) -> None:
    """Waits for a condition.

    Raises:
        ProofError: it does not come true in time.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise ProofError(f"after {within_s:g} s it is still not so that {what}")
        time.sleep(0.2)


@dataclass(frozen=True)
class Project:
    """Runs the profile `cpu`."""

    engine: Engine
    name: str

    @property
    def label(self) -> str:
        """Returns a filter that finds what compose made for this project."""
        return f"label=com.docker.compose.project={self.name}"

    def compose(self, *arguments: str, timeout_s: float = 180) -> str:
        """Runs a command of compose.

        Raises:
            CommandError: it failed.
        """
        options = ["--project-name", self.name, "--file", str(ROOT / "docker-compose.yml"), "--profile", "cpu"]
        return run(["env", *VARIABLES, *self.engine.compose, *options, *arguments], timeout_s)

    def up(self) -> None:
        """Starts every service; with docker it also waits for their health."""
        self.compose("up", "--detach", "--no-build")
        self.engine.steady_bridges(self.label)

    def scale(self, service: str, replicas: int) -> None:
        """Adds replicas of one service; the others are left alone."""
        add = (
            "up",
            "--detach",
            "--no-build",
            "--no-recreate",
            "--no-deps",
            "--scale",
            f"{service}={replicas}",
            service,
        )
        self.compose(*add)

    def down(self) -> None:
        """Removes containers, networks and volumes, and what of them a failure left."""
        try:
            self.compose("down", "--volumes", "--remove-orphans", "--timeout", str(STOP_TIMEOUT_S))
        finally:
            for container in self.engine("ps", "--all", "--quiet", "--filter", self.label).split():
                self.engine("rm", "--force", container)
            for network in self.engine("network", "ls", "--quiet", "--filter", self.label).split():
                self.engine("network", "rm", network)

    def keep_logs(self, folder: Path) -> None:
        """Writes what each container has logged to a file of its name."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.engine("ps", "--all", "--filter", self.label, "--format", "{{.Names}}").split():
            (folder / f"{name}.log").write_text(self.engine.logs(name, "--timestamps"))

    def containers(self, service: str) -> list[str]:
        """Returns the names of a service's containers, running or not."""
        labels = {"com.docker.compose.project": self.name, "com.docker.compose.service": service}
        filters = [word for key, value in labels.items() for word in ("--filter", f"label={key}={value}")]
        return sorted(self.engine("ps", "--all", *filters, "--format", "{{.Names}}").split())

    def wait_until_healthy(self, *services: str, within_s: float = 90) -> None:
        """Waits until every container of some services is healthy."""
        for container in [each for service in services for each in self.containers(service)]:
            until(partial(self.engine.healthy, container), f"{container} is healthy", within_s)

    def address(self, port: int) -> str:
        """Returns where on this machine a port of the first gateway is published."""
        return self.engine("port", self.containers("gateway")[0], f"{port}/tcp").split()[0]

    def restart(self, container: str) -> None:
        """Ends a container as an upgrade does, with time to drain, and starts it again."""
        self.engine("stop", "--time", str(STOP_TIMEOUT_S), container)
        self.engine("start", container)
        until(partial(self.engine.healthy, container), f"{container} is healthy again", 90)

    def kill(self, container: str) -> None:
        """Kills a container's process, as when memory runs out; an engine's own kill counts as the user's wish."""
        try:
            os.kill(int(self.engine.inspect(container)["State"]["Pid"]), signal.SIGKILL)
        except (PermissionError, ProcessLookupError):
            self.engine("kill", container)

    def reaches(self, container: str, *services: str) -> list[str]:
        """Returns which of some services a container can open a connection to, by name or address, and the outside."""
        targets = [("1.1.1.1", 443)]
        for service in services:
            networks = self.engine.inspect(self.containers(service)[0])["NetworkSettings"]["Networks"].values()
            hosts = [service, *(network["IPAddress"] for network in networks)]
            targets += [(host, TRITON_PORT if service == "triton" else PORT) for host in hosts]
        return self.python(container, REACHES.format(targets=targets)).splitlines()

    def python(self, container: str, program: str) -> str:
        """Runs a program inside a container."""
        return self.engine("exec", container, "python", "-c", program)

    def connected(self, container: str, port: int) -> set[str]:
        """Returns who holds a connection to a port of a container, each as the kernel writes an address."""
        tables = "open('/proc/net/tcp').readlines()[1:] + open('/proc/net/tcp6').readlines()[1:]"
        rows = map(str.split, self.python(container, f"print(end=''.join({tables}))").splitlines())
        return {
            remote.partition(":")[0][-8:]  # gRPC's listeners of IPv4 are such of IPv6, too
            for _, local, remote, state, *_ in rows
            if local.endswith(f":{port:04X}") and state == ESTABLISHED
        }

    def metric(self, container: str, port: int, name: str, having: str = "") -> float:
        """Adds up a metric of one container over all its labels; 0 when it is not there.

        Args:
            container: whom to ask.
            port: where it tells.
            name: of the metric.
            having: text that the labels must hold.
        """
        url = f"http://127.0.0.1:{port}/metrics"
        ask = f"import urllib.request as r; print(r.urlopen({url!r}, timeout=5).read().decode())"
        try:
            lines = self.python(container, ask).splitlines()
        except CommandError:
            return 0
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{") and having in line)
