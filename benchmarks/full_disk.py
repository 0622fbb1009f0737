"""Fills the disk that the experiments service writes to, and gives room back, under load."""

import asyncio
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.disk import MIB, SmallDisk, small_disk
from benchmarks.history import History, until
from benchmarks.victim import Outcome, trial

PLACES: Mapping[str, tuple[str, ...]] = {"SQLite": ("everything", "journal", "database"), "PostgreSQL": ("journal",)}
"""What lies on the small disk, in turn."""
SIZE_BYTES, BALLAST_BYTES, MORE_BYTES = 24 * MIB, 12 * MIB, 12 * MIB
ENOUGH_BYTES = 1024 * MIB
"""In the end, for all that the journal took while there was no room in the database."""
ROUNDS = 4
FULL_S = 4.0
REFUSALS = 20
"""So many show that the disk is full."""


async def fill(folder: Path, url: str, place: str, *, clients: int = 8, rounds: int = ROUNDS) -> Outcome:
    """Fills the disk again and again, and returns what is in the database in the end.

    In every second round the service is killed while the disk is full, and starts on it. Room comes back by a file that
    goes, or by a disk that grows.

    Args:
        folder: for its data.
        url: of its database, or empty for SQLite's.
        place: what lies on the small disk: `everything`, `journal` or `database`, the latter ones of SQLite's.
        clients: that send at the same time.
        rounds: how often.

    Raises:
        NoDiskError: no disk can be mounted here.
    """
    with small_disk(folder / "disk", SIZE_BYTES) as disk:
        apart = folder if place == "journal" else disk.folder
        home = folder if place == "database" else disk.folder
        url = url or f"sqlite:///{apart / 'experiments.db'}"
        disk.fill(SIZE_BYTES - BALLAST_BYTES)
        waits = []
        async with trial(home, url, clients) as running:
            await running.history.grown()
            for number in range(1, rounds + 1):
                await _fill_up(disk, running.history, refuses=place != "database")
                if number % 2 == 0:
                    await running.service.end(signal.SIGKILL)
                    await running.service.start()
                await asyncio.sleep(FULL_S)
                disk.give_back() if number % 2 else disk.enlarge(MORE_BYTES)
                began = time.monotonic()
                await running.history.grown(10 * clients)
                waits.append(time.monotonic() - began)
            disk.enlarge(ENOUGH_BYTES)
        refused = running.history.refused_calls
        return running.outcome(
            f"disk of {place} full {rounds} times, {refused} calls refused, taken again within {max(waits):.1f} s"
        )


async def _fill_up(disk: SmallDisk, history: History, *, refuses: bool) -> None:
    """Waits until the load has filled the disk, or fills it for what no load can fill."""
    enough = history.refused_calls + REFUSALS

    def full() -> bool:
        disk.fill()
        return history.refused_calls >= enough or not refuses

    await until(lambda: disk.free_bytes < MIB, "the disk does not become full")
    await until(full, "the service refuses nothing")
