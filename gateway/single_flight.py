"""Identical work in flight is done once: who asks for what is being computed already waits for that."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from prometheus_client import Counter

from servicekit import context, tracing
from servicekit.context import RequestContext
from servicekit.errors import Cancelled, DeadlineExceeded

Value = TypeVar("Value")

CLOCK_S = 0.002  # a timer of the event loop may fire this much before its time

_SHARED = Counter("triptych_shared_answers", "Images answered by the computation that an identical one had begun.")


@dataclass(slots=True, eq=False)
class _Flight(Generic[Value]):
    key: Hashable
    task: asyncio.Task[Value]
    deadline_s: float
    """Of the caller who began it, on the monotonic clock."""
    context: RequestContext | None
    """Of that caller."""
    waiters: int = 0

    @property
    def out_of_time(self) -> bool:
        """Says whether it ended for a reason that was its first caller's own."""
        if self.task.cancelled() or isinstance(self.task.exception(), DeadlineExceeded | Cancelled):
            return True
        return self.task.exception() is not None and time.monotonic() >= self.deadline_s - CLOCK_S


class SingleFlight(Generic[Value]):
    """Knows the computations in flight, and nothing of those that have ended."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[Value]] = {}

    def __len__(self) -> int:
        """Returns the number of computations in flight."""
        return len(self._flights)

    async def run(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Returns what `make()` does, or what another caller's does who came with the same key and is not done.

        The computation runs in a task of its own, in the context of the caller who began it: with that one's deadline,
        and that one's request id in every log. A caller who is cancelled leaves the others alone; when the last has
        left, the computation is cancelled. All callers get the same object, and must not change it.

        Raises:
            DeadlineExceeded, Cancelled: this caller's own computation ended so. If another's did, or failed when that
                one's time was over, a caller who has time left begins anew.
            Exception: what else the computation raises, to all who wait; it is not remembered.
        """
        while True:
            flight = self._flights.get(key)
            joined = flight is not None and not flight.task.done()
            if flight is None or not joined:
                flight = self._begin(key, make)
            await self._landing(flight)
            if joined and flight.out_of_time and context.time_left_s() > 0:
                continue
            try:
                value, flown_by = flight.task.result(), flight.context
            finally:
                del flight  # an error's traceback holds this frame, which would hold the error through its task
            if joined:
                _SHARED.inc()
                tracing.joined(flown_by)
            return value

    def _begin(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, Value]]) -> _Flight[Value]:
        flight = _Flight(key, asyncio.create_task(make()), context.deadline_s(), context.current())
        flight.task.add_done_callback(partial(self._ended, flight))
        self._flights[key] = flight
        return flight

    async def _landing(self, flight: _Flight[Value]) -> None:
        """Waits until the computation has ended, however; cancels it if the last one to wait is cancelled."""
        flight.waiters += 1
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._forget(flight)  # now, because who comes next must not join what is about to be cancelled
                flight.task.cancel()

    def _ended(self, flight: _Flight[Value], task: asyncio.Task[Value]) -> None:
        self._forget(flight)
        if not task.cancelled():
            task.exception()  # tells asyncio that an error was seen, although nobody may wait any more

    def _forget(self, flight: _Flight[Value]) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
