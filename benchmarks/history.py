"""Clients that give feedback, and a checker that knows what was acknowledged to them."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select

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
PAUSE_S = 0.05
"""Before what was not acknowledged is sent again."""


@dataclass(slots=True)
class History:
    """Knows what was sent and what was acknowledged."""

    sent: Counter[Label] = field(default_factory=Counter)
    acknowledged: Counter[Label] = field(default_factory=Counter)
    predictions: set[str] = field(default_factory=set)
    """Acknowledged ones."""
    failed_calls: int = 0
    """Refused ones among them."""
    refused_calls: int = 0
    """For want of room."""

    @property
    def count(self) -> int:
        """Returns how many labels and predictions were acknowledged."""
        return self.acknowledged.total() + len(self.predictions)

    async def grown(self, by: int = 1) -> None:
        """Waits until so many more were acknowledged.

        Raises:
            TimeoutError: they are not.
        """
        enough = self.count + by
        await until(lambda: self.count >= enough, "the service acknowledges nothing")


class _Client:
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
            except grpc.aio.AioRpcError as error:
                self._history.failed_calls += 1
                self._history.refused_calls += error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                await asyncio.sleep(PAUSE_S)
            else:
                return


@asynccontextmanager
async def sending(port: int, clients: int, history: History) -> AsyncIterator[None]:
    """Sends while the context is open, and until all that was begun is acknowledged."""
    over = asyncio.Event()
    options = [("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        tasks = [asyncio.create_task(_Client(f"c{number}", channel, history).run(over)) for number in range(clients)]
        try:
            yield
        finally:
            over.set()
            await asyncio.wait_for(asyncio.gather(*tasks), SETTLE_S)


async def settled(url: str, history: History) -> tuple[int, int]:
    """Returns what is missing and what is there twice, once everything arrived, or nothing more did for a while."""
    least, give_up_at = math.inf, math.inf
    while True:
        missing, twice = await asyncio.to_thread(_compare, url, history)
        if missing < least:
            least, give_up_at = missing, time.monotonic() + SETTLE_S
        if not missing or time.monotonic() > give_up_at:
            return missing, twice
        await asyncio.sleep(0.5)


async def until(condition: Callable[[], bool], otherwise: str, within_s: float = SETTLE_S) -> None:
    """Waits for a condition.

    Raises:
        TimeoutError: it does not come true in time.
    """
    give_up_at = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(otherwise)
        await asyncio.sleep(0.01)


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
