"""The experiments service in a process of its own, to be broken under load, and what is found in the end."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.history import History, sending, settled


@dataclass(frozen=True, slots=True)
class Outcome:
    """Is what was found in the end."""

    what: str
    """Was done to it."""
    acknowledged: int
    failed_calls: int
    missing: int
    twice: int
    seconds: float

    def __str__(self) -> str:
        """Says it in a line."""
        return (
            f"{self.what}, in {self.seconds:.0f} s: {self.acknowledged} labels and predictions acknowledged, "
            f"{self.failed_calls} calls failed and were repeated; missing {self.missing}, twice {self.twice}"
        )


class Service:
    """Is the process that is broken, always on the same port and the same folder."""

    def __init__(self, folder: Path, url: str) -> None:
        """Chooses a port.

        Args:
            folder: for its data and its log.
            url: of its database.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        self._log = folder / "service.log"
        self._environment = {
            **os.environ,  # noqa: TID251 (a child's environment is the thing set here)
            "TRIPTYCH_DATA_DIR": str(folder / "data"),
            "TRIPTYCH_DATABASE_URL": url,
            "TRIPTYCH_PORT": str(self.port),
            "TRIPTYCH_REQUEST_LOG": "false",
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it; does not wait until it serves."""
        command = (sys.executable, "-m", "services.experiments")
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, env=self._environment, stderr=log, stdout=log
            )

    async def end(self, number: signal.Signals) -> int:
        """Ends it with a signal, and returns its exit status."""
        assert self._process is not None, "it was started"  # noqa: S101
        self._process.send_signal(number)
        return await self._process.wait()


@dataclass(slots=True)
class Trial:
    """Is a service under load, and what is known of it."""

    service: Service
    history: History = field(default_factory=History)
    began: float = field(default_factory=time.monotonic)
    missing: int = 0
    twice: int = 0

    def outcome(self, what: str) -> Outcome:
        """Returns what was found, once the trial is over."""
        history = self.history
        seconds = time.monotonic() - self.began
        return Outcome(what, history.count, history.failed_calls, self.missing, self.twice, seconds)


@asynccontextmanager
async def trial(folder: Path, url: str, clients: int) -> AsyncIterator[Trial]:
    """Runs a service under load while the context is open, then ends it and compares.

    Args:
        folder: for its data and its log.
        url: of its database.
        clients: that send at the same time.

    Raises:
        RuntimeError: it did not end by itself when it was told to.
    """
    running = Trial(Service(folder, url))
    await running.service.start()
    async with sending(running.service.port, clients, running.history):
        yield running
    running.missing, running.twice = await settled(url, running.history)
    if status := await running.service.end(signal.SIGTERM):
        raise RuntimeError(f"the service ended with status {status}")
