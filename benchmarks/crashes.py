"""Breaks the experiments service while feedback is written: `python -m benchmarks.crashes --kills 100`.

Clients send labels, predictions and corrections, and send again what was not acknowledged.

`--kills`: the service is killed with SIGKILL at random moments, also while it starts; on PostgreSQL every tenth time
the database crashes as well. `--outage`: PostgreSQL is down for so many seconds. `--disk-full`: what the service writes
to lies on a disk of some MiB, which is filled until the service refuses what comes, and then has room again.

In the end everything that was acknowledged must be in the database exactly once, and nothing that was never sent.
Prints what was found; fails where anything is missing or there twice.
"""

import argparse
import asyncio
import math
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.disk import NoDiskError
from benchmarks.full_disk import PLACES, fill
from benchmarks.postgres import Postgres, running_postgres
from benchmarks.victim import Outcome, Trial, trial

DATABASE_CRASHES_EVERY = 10
BEFORE_S = 3.0
"""An outage, in which feedback goes to the database."""


async def crash(folder: Path, url: str, kills: int, *, clients: int = 8, database: Postgres | None = None) -> Outcome:
    """Kills the service again and again, and returns what is in the database then.

    Args:
        folder: for its data.
        url: of its database.
        kills: how often.
        clients: that send at the same time.
        database: the server, where it shall crash as well.
    """
    async with trial(folder, url, clients) as running:
        for number in range(1, kills + 1):
            await _random_moment(running)
            await running.service.end(signal.SIGKILL)
            if database is not None and number % DATABASE_CRASHES_EVERY == 0:
                await asyncio.to_thread(database.stop, signal.SIGQUIT)
                await running.service.start()
                await asyncio.sleep(random.uniform(0, 3))  # noqa: S311
                await asyncio.to_thread(database.start)
            else:
                await running.service.start()
    return running.outcome(f"{kills} kills")


async def outage(folder: Path, url: str, seconds: float, database: Postgres, *, clients: int = 8) -> Outcome:
    """Stops the database for a while, and returns what is in it when it has come back.

    Args:
        folder: for the service's data.
        url: of its database.
        seconds: how long.
        database: its server.
        clients: that send at the same time.
    """
    async with trial(folder, url, clients) as running:
        await running.history.grown()
        await asyncio.sleep(BEFORE_S)
        await asyncio.to_thread(database.stop, signal.SIGQUIT)
        before, failed = running.history.count, running.history.failed_calls
        await asyncio.sleep(seconds)
        meanwhile, refused = running.history.count - before, running.history.failed_calls - failed
        await asyncio.to_thread(database.start)
        await running.history.grown()
    return running.outcome(f"database down for {seconds:g} s, {meanwhile} acknowledged and {refused} failed meanwhile")


async def _random_moment(running: Trial) -> None:
    """Waits for a moment: mostly while labels are taken, now and then while the service starts."""
    if random.random() < 0.2:  # noqa: S311
        await asyncio.sleep(random.uniform(0, 3))  # noqa: S311
        return
    await running.history.grown()
    await asyncio.sleep(random.uniform(0, 0.7))  # noqa: S311


def _databases(chosen: str) -> Iterator[tuple[str, Postgres | None]]:
    if chosen in ("sqlite", "both"):
        yield "SQLite", None
    if chosen in ("postgresql", "both"):
        with running_postgres() as server:
            yield "PostgreSQL", server


def _trials(
    options: argparse.Namespace, folder: Path, title: str, server: Postgres | None
) -> Iterator[Coroutine[Any, Any, Outcome]]:
    """Yields what to do to the service on one database."""
    url = server.new_database() if server else f"sqlite:///{folder / 'experiments.db'}"
    clients = options.clients
    if options.outage is not None:
        assert server is not None, "options are checked"  # noqa: S101
        yield outage(folder, url, options.outage, server, clients=clients)
    elif options.disk_full:
        for place in PLACES[title]:
            there = folder / place
            there.mkdir()
            yield fill(there, server.new_database() if server else "", place, clients=clients)
    else:
        yield crash(folder, url, options.kills, clients=clients, database=server)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    fault = parser.add_mutually_exclusive_group()
    fault.add_argument("--kills", type=_above_zero(int), default=20, help="how often; by default %(default)s times")
    fault.add_argument("--outage", type=_above_zero(float), metavar="SECONDS", help="of PostgreSQL")
    fault.add_argument("--disk-full", action="store_true", help="needs root, for a small disk of its own")
    parser.add_argument("--clients", type=_above_zero(int), default=8)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), help="by default both that can")
    options = parser.parse_args(arguments)
    if options.outage is not None and options.database not in (None, "postgresql"):
        parser.error(f"--outage is one of PostgreSQL: --database {options.database} does not go with it")
    options.database = options.database or ("both" if options.outage is None else "postgresql")
    return options


def _above_zero(kind: Callable[[str], float]) -> Callable[[str], float]:
    """Returns what reads a number that must be above 0."""

    def number(given: str) -> float:
        value = kind(given)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{given} is not above 0")
        return value

    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Breaks, counts and prints. Returns 1 when anything is missing or twice, 2 when no disk can be mounted."""
    options = _options(arguments)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for title, server in _databases(options.database):
            folder = Path(name) / title
            folder.mkdir()
            for attempt in _trials(options, folder, title, server):
                try:
                    outcome = asyncio.run(attempt)
                except NoDiskError as error:
                    sys.stderr.write(f"crashes: {error}\n")
                    return 2
                sys.stdout.write(f"{title}: {outcome}\n")
                sys.stdout.flush()
                wrong += outcome.missing + outcome.twice
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
