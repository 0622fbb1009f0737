"""Kills the experiments service while feedback is written: `python -m benchmarks.crashes --kills 100`.

Clients send labels, predictions and corrections, and send again what was not acknowledged. The service is killed with
SIGKILL at random moments, also while it starts; on PostgreSQL every tenth time the database crashes as well. In the end
everything that was acknowledged must be in the database exactly once, and nothing that was never sent. Prints what was
found; fails where anything is missing or there twice.
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select

from benchmarks.postgres import Postgres, running_postgres
from services.experiments.database import Database
from services.experiments.tables import FEEDBACK, PREDICTION
from triptych.experiments.v1 import evidence_service_pb2, feedback_service_pb2
from triptych.experiments.v1.evidence_service_pb2_grpc import EvidenceServiceStub
from triptych.experiments.v1.feedback_service_pb2_grpc import FeedbackServiceStub

Label = tuple[str, int]
"""Of a prediction."""
LABELS = (1, 2, 1)
"""What is said of a prediction one after the other: a label, another one, and the first one again."""
CALL_TIMEOUT_S = 5.0
SETTLE_S = 120.0
DATABASE_CRASHES_EVERY = 10


@dataclass(slots=True)
class History:
    """Knows what was sent and what was acknowledged."""

    sent: Counter[Label] = field(default_factory=Counter)
    acknowledged: Counter[Label] = field(default_factory=Counter)
    predictions: set[str] = field(default_factory=set)
    """Acknowledged ones."""
    failed_calls: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Is what was found in the end."""

    kills: int
    acknowledged: int
    failed_calls: int
    missing: int
    twice: int
    seconds: float

    def __str__(self) -> str:
        """Says it in a line."""
        return (
            f"{self.kills} kills in {self.seconds:.0f} s: {self.acknowledged} labels and predictions acknowledged, "
            f"{self.failed_calls} calls failed and were repeated; missing {self.missing}, twice {self.twice}"
        )


class Client:
    """Sends, one call after the other, and each until it is acknowledged."""

    def __init__(self, name: str, channel: grpc.aio.Channel, history: History) -> None:
        self._name = name
        self._labels: Any = FeedbackServiceStub(channel)
        self._evidence: Any = EvidenceServiceStub(channel)
        self._history = history

    async def run(self, over: asyncio.Event) -> None:
        """Sends until it is over, and then finishes what it has begun."""
        number = 0
        while not over.is_set():
            number += 1
            prediction = f"{self._name}-{number}"
            if number % 3 == 0:
                await self._record(prediction)
            for step, label in enumerate(LABELS):
                # With an id, or so that only what was said before tells a repeat.
                await self._say(prediction, label, f"{prediction}-{step}" if number % 2 else "")

    async def _say(self, prediction: str, label: int, feedback_id: str) -> None:
        item = feedback_service_pb2.Feedback(prediction_id=prediction, label_index=label, feedback_id=feedback_id)
        self._history.sent[prediction, label] += 1
        request = feedback_service_pb2.SubmitFeedbackRequest(feedback=[item])
        await self._until_taken(
            lambda: self._labels.SubmitFeedback(request, timeout=CALL_TIMEOUT_S, wait_for_ready=True)
        )
        self._history.acknowledged[prediction, label] += 1

    async def _record(self, prediction: str) -> None:
        now = Timestamp()
        now.GetCurrentTime()
        record = evidence_service_pb2.PredictionRecord(
            prediction_id=prediction, time=now, model="m", version="1", inclusion_probability=1, image=bytes(20_000)
        )
        request = evidence_service_pb2.RecordEvidenceRequest(predictions=[record])
        await self._until_taken(
            lambda: self._evidence.RecordEvidence(request, timeout=CALL_TIMEOUT_S, wait_for_ready=True)
        )
        self._history.predictions.add(prediction)

    async def _until_taken(self, call: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError:
                self._history.failed_calls += 1
                await asyncio.sleep(0.05)
            else:
                return


class Service:
    """Is the process that is killed, always on the same port and the same folder."""

    def __init__(self, folder: Path, url: str) -> None:
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


async def crash(folder: Path, url: str, kills: int, *, clients: int = 8, database: Postgres | None = None) -> Outcome:
    """Kills the service again and again, and returns what is in the database then.

    Args:
        folder: for its data.
        url: of its database.
        kills: how often.
        clients: that send at the same time.
        database: the server, where it shall crash as well.
    """
    history, service, began = History(), Service(folder, url), time.monotonic()
    await service.start()
    async with _sending(service.port, clients, history):
        for number in range(1, kills + 1):
            await _random_moment(history)
            await service.end(signal.SIGKILL)
            if database is not None and number % DATABASE_CRASHES_EVERY == 0:
                await asyncio.to_thread(database.stop, signal.SIGQUIT)
                await service.start()
                await asyncio.sleep(random.uniform(0, 3))  # noqa: S311
                await asyncio.to_thread(database.start)
            else:
                await service.start()
    missing, twice = await _settled(url, history)
    if status := await service.end(signal.SIGTERM):
        raise RuntimeError(f"the service ended with status {status}")
    acknowledged = sum(history.acknowledged.values()) + len(history.predictions)
    return Outcome(kills, acknowledged, history.failed_calls, missing, twice, time.monotonic() - began)


@asynccontextmanager
async def _sending(port: int, clients: int, history: History) -> AsyncIterator[None]:
    """Sends while the context is open, and until all that was begun is acknowledged."""
    over = asyncio.Event()
    options = [("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        tasks = [asyncio.create_task(Client(f"c{number}", channel, history).run(over)) for number in range(clients)]
        try:
            yield
        finally:
            over.set()
            await asyncio.wait_for(asyncio.gather(*tasks), SETTLE_S)


async def _random_moment(history: History) -> None:
    """Waits for a moment: mostly while labels are taken, now and then while the service starts."""
    if random.random() < 0.2:  # noqa: S311
        await asyncio.sleep(random.uniform(0, 3))  # noqa: S311
        return
    before = history.acknowledged.total()
    give_up_at = time.monotonic() + SETTLE_S
    while history.acknowledged.total() == before:
        if time.monotonic() > give_up_at:
            raise TimeoutError("the service acknowledges nothing")
        await asyncio.sleep(0.01)
    await asyncio.sleep(random.uniform(0, 0.7))  # noqa: S311


async def _settled(url: str, history: History) -> tuple[int, int]:
    """Returns what is missing and what is there twice, once everything arrived, or after a while."""
    give_up_at = time.monotonic() + SETTLE_S
    while True:
        missing, twice = await asyncio.to_thread(_compare, url, history)
        if not missing or time.monotonic() > give_up_at:
            return missing, twice
        await asyncio.sleep(0.5)


def _compare(url: str, history: History) -> tuple[int, int]:
    database = Database(url)
    try:
        with database.connect() as connection:
            labels = Counter(map(tuple, connection.execute(select(FEEDBACK.c.prediction_id, FEEDBACK.c.label_index))))
            predictions = set(connection.execute(select(PREDICTION.c.prediction_id)).scalars())
    finally:
        database.close()
    missing = (history.acknowledged - labels).total() + len(history.predictions - predictions)
    return missing, (labels - history.sent).total()


def _databases(chosen: str, folder: Path) -> Iterator[tuple[str, str, Postgres | None]]:
    if chosen in ("sqlite", "both"):
        yield "SQLite", f"sqlite:///{folder / 'experiments.db'}", None
    if chosen in ("postgresql", "both"):
        with running_postgres() as server:
            yield "PostgreSQL", server.new_database(), server


def main() -> int:
    """Kills, counts and prints. Returns 1 when anything is missing or twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for title, url, server in _databases(options.database, Path(name)):
            folder = Path(name) / title
            folder.mkdir()
            outcome = asyncio.run(crash(folder, url, options.kills, clients=options.clients, database=server))
            sys.stdout.write(f"{title}: {outcome}\n")
            sys.stdout.flush()
            wrong += outcome.missing + outcome.twice
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
