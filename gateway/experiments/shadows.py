"""Shows requests to versions whose answers nobody gets: after the answer, beside other requests, never before them."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from gateway.classifier import Answers
from gateway.experiments.evidence import Result, Served, shadow_records
from gateway.experiments.metrics import ANSWERED, SHADOW_FAILED, SHED_LIMIT, SHED_WAITING, UNFINISHED
from gateway.experiments.telling import Record
from gateway.requests import Call
from gateway.routing import Assignment, Shadow
from servicekit import context
from servicekit.errors import Code, TriptychError
from triptych.experiments.v1 import evidence_service_pb2 as pb

log = structlog.get_logger()

_LOAD = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.CANCELLED})
"""Errors that come of load and of restarts, which say nothing of a version: its work is the first to go."""


class Shadows:
    """Runs at most so many requests at once, and none while others wait."""

    def __init__(
        self, answering: Answers, busy: Callable[[], bool], record: Record, limit: int, timeout_s: float
    ) -> None:
        """Runs nothing yet.

        Args:
            answering: answers them; it shares no work with requests, which would wait for it.
            busy: whether requests wait.
            record: hears what came of it.
            limit: requests in work at the same time.
            timeout_s: how long one may take.
        """
        self._answering = answering
        self._busy = busy
        self._record = record
        self._limit = limit
        self._timeout_s = timeout_s
        self._tasks: set[asyncio.Task[None]] = set()

    def show(self, assignment: Assignment, call: Call, results: Sequence[Result]) -> None:
        """Shows a request that has been answered to the shadows of its assignment, as far as there is room.

        Chance says in which order: in one that stays, the first would take the room, and the last never see anything.
        """
        served = [Served.of(result) for result in results]
        for shadow in random.sample(assignment.shadows, len(assignment.shadows)):
            if len(self._tasks) >= self._limit:
                SHED_LIMIT.inc()
            elif self._busy():
                SHED_WAITING.inc()
            else:
                task = asyncio.create_task(self._run(assignment, shadow, call, served))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ends what is in work with the context."""
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, assignment: Assignment, shadow: Shadow, call: Call, served: Sequence[Served]) -> None:
        asking = context.current()
        context.enter(None if asking is None else asking.aside())
        began = time.perf_counter()
        results = await self._answer(replace(call, version=shadow.version, replaceable=False, top_k=1, min_score=0.0))
        if results is None:
            UNFINISHED.inc()
            return
        (ANSWERED if results else SHADOW_FAILED).inc()
        total_ms = (time.perf_counter() - began) * 1e3
        records = shadow_records(assignment, shadow, served, results, total_ms)
        self._record(pb.RecordEvidenceRequest(shadows=records))

    async def _answer(self, call: Call) -> list[Result] | None:
        """Returns what a shadow answers: nothing where its version fails, None where it did not come to an answer."""
        context.set_deadline(self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._answering.classify(call)
        except TimeoutError:
            return None
        except TriptychError as error:
            log.debug("a shadow failed", version=call.version, reason=error.reason)
            return None if error.code in _LOAD else []
        except Exception:
            log.exception("unexpected error of a shadow", version=call.version)
            return []
