"""Processes of ours, started for a test and ended with it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.servers import eventually

ROOT = Path(__file__).parents[2]


@dataclass
class Process:
    """Is a running process and the ports that it announced."""

    process: asyncio.subprocess.Process
    ports: dict[str, int]
    log: Path

    async def terminated(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit status."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 20)

    def lines(self) -> list[dict[str, object]]:
        """Returns what it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@asynccontextmanager
async def running_process(module: str, folder: Path, **variables: object) -> AsyncIterator[Process]:
    """Runs `python -m module`, waits until it listens, and kills it in the end if it still runs."""
    announce, log = folder / f"{module}.json", folder / f"{module}.log"
    chosen = {"ANNOUNCE_FILE": announce, "PORT": 0, **variables}
    environment = {
        "PATH": os.environ.get("PATH", ""),  # noqa: TID251 (a child's environment is the thing set here)
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        **{f"TRIPTYCH_{name.upper()}": str(value) for name, value in chosen.items()},
    }
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, env=environment, cwd=ROOT, stderr=stderr
        )
    try:
        await eventually(lambda: announce.exists() or process.returncode is not None, within_s=30)
        ports = json.loads(announce.read_text()) if announce.exists() else {}
        yield Process(process, ports, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
