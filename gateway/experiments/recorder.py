"""Sends evidence to the experiments service, off every request's path, from a queue that has a bound."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from gateway.experiments.metrics import EVIDENCE, QUEUE_BYTES, QUEUE_BYTES_LIMIT
from servicekit.errors import DeadlineExceeded, Reason, TriptychError, Unavailable
from servicekit.server import background
from servicekit.settings import MIB
from triptych.experiments.v1 import evidence_service_pb2 as pb

log = structlog.get_logger()

GATHER_S = 0.2
GATHER_PARTS = 500
MESSAGE_BYTES = 4 * MIB
"""Of a message, unless what one request brings is larger."""
TIMEOUT_S = 5.0
PAUSE_S = 0.5
"""Before what the service did not take is sent again."""
ENTRY_BYTES = 64
"""What an entry of the queue takes beside its bytes."""
PICTURES_SHARE = 0.5
"""Of the queue, beyond which no picture gets in: they are large, and no verdict rests on them."""
KINDS = ("exposures", "predictions", "shadows")

Send = Callable[[pb.RecordEvidenceRequest, float], Awaitable[object]]


class Recorder:
    """Gathers what requests bring; one message is under way at a time, and stays in the queue until it is taken."""

    def __init__(self, send: Send, max_bytes: int, flush_s: float) -> None:
        """Starts empty.

        Args:
            send: sends a message within so many seconds; it may arrive twice.
            max_bytes: bound of the queue.
            flush_s: how long sending what is left may take in the end.
        """
        self._send = send
        self._max_bytes = max_bytes
        self._flush_s = flush_s
        self._parts: deque[bytes] = deque()
        self._bytes = 0
        self._most = GATHER_PARTS
        """Parts of the next message: fewer while looking for what the service refuses."""
        self._many = asyncio.Event()
        QUEUE_BYTES.set_function(lambda: self._bytes)
        QUEUE_BYTES_LIMIT.set(max_bytes)

    @property
    def size_bytes(self) -> int:
        """Returns the memory that is accounted for, never above the bound."""
        return self._bytes

    def record(self, evidence: pb.RecordEvidenceRequest) -> None:
        """Puts what a request brings into the queue; drops pictures when that is half full, and all when it is full."""
        data = evidence.SerializeToString()
        if self._bytes + len(data) > PICTURES_SHARE * self._max_bytes and _drop_pictures(evidence):
            data = evidence.SerializeToString()
        size = len(data) + ENTRY_BYTES
        if self._bytes + size > self._max_bytes:
            _count(evidence, "full")
            return
        self._parts.append(data)
        self._bytes += size
        if len(self._parts) >= GATHER_PARTS:
            self._many.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends while the context is open, and then what is left."""
        try:
            async with background(self._follow()):
                yield
        finally:
            await self._flush()

    async def _follow(self) -> None:
        while True:
            await self._gathered()
            while self._parts:
                if not await self._deliver():
                    await asyncio.sleep(PAUSE_S)
                elif len(self._parts) < self._most:
                    break

    async def _gathered(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_S):
                await self._many.wait()
        self._many.clear()

    async def _flush(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._flush_s):
                while self._parts:
                    if not await self._deliver():
                        await asyncio.sleep(0.1)
        if self._parts:
            log.warning("evidence was dropped, since the experiments service is away", requests=len(self._parts))
            for part in self._parts:
                _count(pb.RecordEvidenceRequest.FromString(part), "ended")
            self._parts.clear()

    async def _deliver(self) -> bool:
        """Sends the message that is due; False when it has to be sent again.

        One that is refused is sent again by halves, so that whoever makes one part bad loses nobody else's.
        """
        evidence, parts, size = self._message()
        outcome = "sent"
        try:
            await self._send(evidence, TIMEOUT_S)
        except TriptychError as error:
            if isinstance(error, Unavailable | DeadlineExceeded) or error.reason is Reason.STORE_FULL:
                return False
            outcome = "refused"
            log.warning("the experiments service refused evidence", reason=error.reason, detail=error.message)
        except Exception:
            outcome = "refused"
            log.exception("evidence could not be sent")
        self._most = max(1, parts // 2) if outcome == "refused" else min(2 * self._most, GATHER_PARTS)
        if outcome == "refused" and parts > 1:
            return True
        for _ in range(parts):
            self._parts.popleft()
        self._bytes -= size
        _count(evidence, outcome)
        return True

    def _message(self) -> tuple[pb.RecordEvidenceRequest, int, int]:
        """Returns the next message, the number of its parts, and the room that they take in the queue."""
        parts: list[bytes] = []
        size = 0
        for part in self._parts:
            if parts and (len(parts) == self._most or size + len(part) > MESSAGE_BYTES):
                break
            parts.append(part)
            size += len(part)
        # Messages one after the other are a message: lists are joined.
        return pb.RecordEvidenceRequest.FromString(b"".join(parts)), len(parts), size + ENTRY_BYTES * len(parts)


def _drop_pictures(evidence: pb.RecordEvidenceRequest) -> int:
    """Takes the pictures out of predictions, and returns how many there were."""
    dropped = 0
    for prediction in evidence.predictions:
        dropped += bool(prediction.image)
        prediction.ClearField("image")
    EVIDENCE.labels("pictures", "full").inc(dropped)
    return dropped


def _count(evidence: pb.RecordEvidenceRequest, outcome: str) -> None:
    for kind in KINDS:
        if number := len(getattr(evidence, kind)):
            EVIDENCE.labels(kind, outcome).inc(number)
