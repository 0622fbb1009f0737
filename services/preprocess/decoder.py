"""A bounded pool of decoding threads: the libraries release the GIL, so each thread keeps one core busy."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from prometheus_client import Gauge, Histogram

from servicekit.errors import DeadlineExceeded, ResourceExhausted
from servicekit.metrics import BUCKETS_S
from services.preprocess.transforms import Decoded

WAITING = Gauge("triptych_preprocess_waiting_images", "Images that wait for a decoding thread or are in one.")
SECONDS = Histogram("triptych_preprocess_image_seconds", "Time to decode and resize one image.", buckets=BUCKETS_S)
QUEUE_SECONDS = Histogram("triptych_preprocess_queue_seconds", "Time an image waited for a thread.", buckets=BUCKETS_S)


@dataclass(frozen=True, slots=True)
class Timed:
    """Is a decoded image with where its time went."""

    decoded: Decoded
    queue_s: float
    compute_s: float


class Decoder:
    """Runs decoding jobs on a fixed number of threads and refuses what would wait too long in line."""

    def __init__(self, threads: int, max_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._limit = threads + max_waiting
        self._pending = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    async def run(self, job: Callable[[], Decoded], time_left_s: float) -> Timed:
        """Runs `job` on a free thread.

        Raises:
            ResourceExhausted: too many images wait already; nothing was begun.
            DeadlineExceeded: `time_left_s` was over before a thread was free; nothing was begun.
            TriptychError: whatever the job raises.
        """
        if self._pending >= self._limit:
            raise ResourceExhausted(
                f"{self._pending} images already wait to be decoded, which is the limit.", retry_after_s=0.5
            )
        self._pending += 1
        WAITING.inc()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, _timed, job, time.perf_counter(), time_left_s
            )
        finally:
            self._pending -= 1
            WAITING.dec()


def _timed(job: Callable[[], Decoded], asked: float, time_left_s: float) -> Timed:
    begun = time.perf_counter()
    if begun - asked >= time_left_s:
        raise DeadlineExceeded("The caller's time was up before the image could be decoded.")
    decoded = job()
    ended = time.perf_counter()
    QUEUE_SECONDS.observe(begun - asked)
    SECONDS.observe(ended - begun)
    return Timed(decoded, begun - asked, ended - begun)
