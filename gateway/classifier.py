"""What both transports call: bounded work, counted by how it ended."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from gateway.metrics import IN_FLIGHT, IN_FLIGHT_LIMIT, SHED_IN_FLIGHT, count_request, observe_deadline
from gateway.requests import Call, Limits
from servicekit import context
from servicekit.errors import Cancelled, Code, DeadlineExceeded, Internal, ResourceExhausted, TriptychError
from triptych.classification.v1 import classification_pb2

SHORT_DEADLINE_S = 0.5
"""A caller who waits less than what the service level allows is counted apart when that was not enough."""
SHORT_DEADLINE = "DEADLINE_SHORT"
CLOCK_S = 0.002  # a timer of the event loop may fire this much before its time

Results = list[classification_pb2.Classification]


class Answers(Protocol):
    """Takes checked calls."""

    async def classify(self, call: Call) -> Results:
        """Returns one result per image, in order, or raises a TriptychError."""


class Classifier:
    """Admits calls while there is room."""

    def __init__(self, answering: Answers, limits: Limits, max_in_flight: int) -> None:
        self.limits = limits
        self._answering = answering
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        IN_FLIGHT_LIMIT.set(max_in_flight)

    async def classify(self, transport: str, parse: Callable[[], Awaitable[Call]]) -> Results:
        """Parses, checks and answers a request, and counts it under its transport, code and reason.

        Raises:
            ResourceExhausted: too many images are in work already; nothing was begun.
            TriptychError: what `parse` or the pipeline raises.
        """
        start = time.perf_counter()
        given_s = context.time_left_s()
        observe_deadline(transport, given_s)
        code, reason = Code.INTERNAL.name, Internal.default_reason.value
        try:
            call = await parse()
            with self._room(len(call.images)):
                results = await self._answering.classify(call)
            code, reason = "OK", ""
        except TriptychError as error:
            code, reason = error.code.name, error.reason.value
            raise
        except asyncio.CancelledError:
            error_type = DeadlineExceeded if context.time_left_s() < CLOCK_S else Cancelled
            code, reason = error_type.code.name, error_type.default_reason.value
            raise
        finally:
            if code == Code.DEADLINE_EXCEEDED.name and given_s < SHORT_DEADLINE_S:
                reason = SHORT_DEADLINE
            count_request(transport, code, reason, time.perf_counter() - start)
        return results

    @contextmanager
    def _room(self, images: int) -> Iterator[None]:
        if self._in_flight + images > self._max_in_flight:
            SHED_IN_FLIGHT.inc()
            message = f"{self._in_flight} images are in work, and at most {self._max_in_flight} may be."
            raise ResourceExhausted(message, retry_after_s=0.5)
        self._in_flight += images
        IN_FLIGHT.set(self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= images
            IN_FLIGHT.set(self._in_flight)
