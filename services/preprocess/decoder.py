"""A bounded pool of decoding threads: the libraries release the GIL, so each thread keeps one core busy."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from prometheus_client import Gauge, Histogram

from servicekit import tracing
from servicekit.errors import DeadlineExceeded, ResourceExhausted
from servicekit.metrics import BUCKETS_S, SHED
from servicekit.spans import Span, Value
from services.preprocess.transforms import Decoded

WAITING = Gauge("triptych_preprocess_waiting_images", "Images that wait for a decoding thread or are in one.")
THREADS = Gauge("triptych_preprocess_threads", "Threads that decode.")
BUSY = Gauge("triptych_preprocess_busy_threads", "Threads that decode an image now.")
SECONDS = Histogram("triptych_preprocess_image_seconds", "Time to decode and resize one image.", buckets=BUCKETS_S)
QUEUE_SECONDS = Histogram("triptych_preprocess_queue_seconds", "Time an image waited for a thread.", buckets=BUCKETS_S)


DECODE = "decode and resize"
"""What traces call the work on an image."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Is a decoded image with where its time went."""

    decoded: Decoded
    queue_s: float
    compute_s: float


@dataclass(frozen=True, slots=True)
class Job:
    """Is an image to decode."""

    decode: Callable[[], Decoded]
    time_left_s: float
    span: Span | None = None
    """The step that it is a part of, if the request is traced."""


class Decoder:
    """Runs decoding jobs on a fixed number of threads and refuses what would wait too long in line."""

    def __init__(self, threads: int, max_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._threads = threads
        self._limit = threads + max_waiting
        self._pending = 0
        self._shed = SHED.labels("decode_queue")
        THREADS.set(threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    async def run(self, jobs: Sequence[Job]) -> list[Timed | Exception]:
        """Runs jobs on free threads and returns, for each, what it made or what it raised.

        The threads take one job after the other, so that a batch costs a few hand-overs and not one for each image.
        A job is refused with ResourceExhausted when too many images wait already, and with DeadlineExceeded when its
        time was up before its turn; then nothing of it was begun.
        """
        room = max(0, self._limit - self._pending)
        accepted = jobs[:room]
        results: list[Timed | Exception] = [_full(self._pending)] * len(jobs)
        self._shed.inc(len(jobs) - len(accepted))
        self._pending += len(accepted)
        WAITING.inc(len(accepted))
        try:
            await self._share(accepted, results)
        finally:
            self._pending -= len(accepted)
            WAITING.dec(len(accepted))
        return results

    async def _share(self, jobs: Sequence[Job], results: list[Timed | Exception]) -> None:
        turns = deque(enumerate(jobs))
        asked = time.perf_counter()
        loop = asyncio.get_running_loop()
        hands = min(self._threads, len(jobs))
        try:
            await asyncio.gather(
                *(loop.run_in_executor(self._pool, _work, turns, results, asked) for _ in range(hands))
            )
        finally:
            turns.clear()  # nobody waits any more for what was not begun


def _full(pending: int) -> ResourceExhausted:
    message = f"{pending} images already wait to be decoded, which is the limit."
    return ResourceExhausted(message, retry_after_s=0.5)


def _work(turns: "deque[tuple[int, Job]]", results: list[Timed | Exception], asked: float) -> None:
    with BUSY.track_inprogress():
        while turns:
            try:
                index, job = turns.popleft()  # atomic: the other threads take from it too
            except IndexError:
                return
            try:
                with tracing.under(job.span, DECODE) as span:
                    results[index] = timed = _timed(job, asked)
                    if span is not None:
                        span.attributes |= _described(timed)
            except Exception as error:  # noqa: BLE001 (each image has an outcome of its own)
                results[index] = error


def _described(timed: Timed) -> dict[str, Value]:
    decoded = timed.decoded
    return {
        "triptych.image.format": decoded.format.lower(),
        "triptych.image.width_px": decoded.width_px,
        "triptych.image.height_px": decoded.height_px,
        "triptych.queue_ms": round(timed.queue_s * 1e3, 3),
    }


def _timed(job: Job, asked: float) -> Timed:
    begun = time.perf_counter()
    if begun - asked >= job.time_left_s:
        raise DeadlineExceeded("The caller's time was up before the image could be decoded.")
    decoded = job.decode()
    ended = time.perf_counter()
    QUEUE_SECONDS.observe(begun - asked)
    SECONDS.observe(ended - begun)
    return Timed(decoded, begun - asked, ended - begun)
