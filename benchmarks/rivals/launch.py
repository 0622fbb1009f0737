"""Starts one rival on this machine: `python -m benchmarks.rivals.launch NAME`, or `running(NAME)` from a benchmark."""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.bare import Bare
from benchmarks.load.http1 import HttpRequest
from benchmarks.processes import children, cpu_s
from benchmarks.rivals import environment
from benchmarks.rivals.wire import WIRES, Wire
from benchmarks.workload import ROOT, pictures
from localcluster.environment import inherited
from localcluster.guard import guarding, signal_group
from localcluster.logfiles import tail
from localcluster.ports import port_leases

HOST = "127.0.0.1"
RIVALS: tuple[str, ...] = tuple(WIRES)
START_TIMEOUT_S = 90.0
SETTLE_S = 5.0
STOP_TIMEOUT_S = 10.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StartError(RuntimeError):
    """Says why a rival does not answer, or what it answers wrongly."""


@dataclass(frozen=True, slots=True)
class Running:
    """Is a rival that has answered every picture right."""

    name: str
    port: int
    pid: int
    """Leader of the process group: it and every process below it are the server."""
    wire: Wire
    protocol: str = "http"

    @property
    def url(self) -> str:
        """Returns where pictures are posted."""
        return f"{self.protocol}://{HOST}:{self.port}{self.wire.path}"

    def request(self, content: bytes) -> HttpRequest:
        """Returns the POST request for one JPEG."""
        return self.wire.request(content)

    def top1(self, body: bytes) -> int:
        """Returns the index of the best class in an answer."""
        return self.wire.top1(body)


@contextmanager
def running(name: str) -> Iterator[Running]:
    """Starts a rival on a free port of this machine, and ends it with all its processes.

    Its environment is made first, where it is missing. Its output goes to a log in the cache folder.

    Args:
        name: one of RIVALS.

    Raises:
        KeyError: there is no such rival.
        InstallError: its packages cannot be had.
        StartError: it does not answer in time, or not what the bare computation answers.
    """
    wire = WIRES[name]
    python, log = environment.ensure_python(name), environment.cache() / f"{name}.log"
    with port_leases() as leases, guarding(STOP_TIMEOUT_S) as guard:
        port = leases.take(HOST)
        process = _spawn(python, name, port, log)
        guard.add(process.pid)
        try:
            rival = Running(name, port, process.pid, wire)
            _until_ready(rival, process, log)
            yield rival
        finally:
            _end(process)
            guard.remove(process.pid)


def _spawn(python: Path, name: str, port: int, log: Path) -> subprocess.Popen[bytes]:
    command = [str(python), "-m", f"benchmarks.rivals.{name}.serve", str(port)]
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 (ours)
            command,
            cwd=ROOT,
            env=inherited(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _until_ready(rival: Running, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(rival):
            _settle(rival.pid)
            return
        time.sleep(0.1)
    ending = f"ended with code {process.returncode}" if process.returncode is not None else "did not answer in time"
    raise StartError("\n".join([f"{rival.name} {ending}:", *tail(log)]))


def _answers(rival: Running) -> bool:
    """Says whether the rival answers yet.

    Raises:
        StartError: the answer is wrong.
    """
    for content, expected in _expected():
        request = rival.request(content)
        connection = HTTPConnection(HOST, rival.port, timeout=5)
        try:
            connection.request("POST", request.path, request.body, dict(request.headers))
            response = connection.getresponse()
            body = response.read()
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
        if response.status != 200:
            return False
        if (index := rival.top1(body)) != expected:
            raise StartError(f"{rival.name} answered class {index} where the bare computation says {expected}.")
    return True


@cache
def _expected() -> tuple[tuple[bytes, int], ...]:
    """Returns each picture and its best class."""
    bare = Bare()
    return tuple((picture.content, bare.classify(picture.content)[0].index) for picture in pictures())


def _settle(pid: int, window_s: float = 0.5) -> None:
    """Waits until a server is idle: one that answers may still load its other workers. Some poll and never are."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        before = cpu_s(children(pid))
        time.sleep(window_s)
        if cpu_s(children(pid)) - before < 0.1 * window_s:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks the whole process group to end, and kills what is left of it after STOP_TIMEOUT_S."""
    signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while time.monotonic() < deadline:
        process.poll()  # reaps the leader, which as a zombie would still be a member of its group
        if not signal_group(process.pid, 0):
            return
        time.sleep(0.05)
    signal_group(process.pid, signal.SIGKILL)
    process.wait()


def main() -> int:
    """Starts a rival and waits for Ctrl-C."""
    parser = argparse.ArgumentParser(description="Starts one rival on this machine, until Ctrl-C.")
    parser.add_argument("name", choices=RIVALS)
    name: str = parser.parse_args().name
    try:
        with running(name) as rival:
            headers = " ".join(f"-H '{key}: {value}'" for key, value in rival.wire.headers.items())
            sys.stdout.write(f"{rival.url}\n  curl {headers} --data-binary @picture.jpg {rival.url}\n")
            sys.stdout.flush()
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # not before the start: children inherit it
            signal.sigwait(STOP_SIGNALS)
    except (environment.InstallError, StartError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
