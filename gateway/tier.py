"""One service behind the gateway, all its replicas together: is it there, and how a call survives a replica's end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc
from prometheus_client import Counter

from gateway.retry import RetryBudget
from servicekit import context
from servicekit.channel import open_channel
from servicekit.errors import Unavailable
from servicekit.health import Prober, Readiness
from servicekit.remote import RemoteMethod

Request = TypeVar("Request")
Response = TypeVar("Response")

RETRIES = Counter("triptych_gateway_retries", "Second attempts at a hop, by how they ended.", ("tier", "outcome"))


class Tier:
    """Is one service, reached over a channel that spreads calls over its healthy replicas."""

    def __init__(
        self, name: str, target: str, health_service: str, max_message_bytes: int, readiness: Readiness, hold_s: float
    ) -> None:
        self.name = name
        self.channel = open_channel(target, max_message_bytes=max_message_bytes, health_service=health_service)
        self.probe_channel = open_channel(
            target, max_message_bytes=max_message_bytes
        )  # also reaches replicas that are not ready
        self._readiness = readiness
        self._hold_s = hold_s
        self._budget = RetryBudget()

    @asynccontextmanager
    async def probed(self, check: Callable[[], Awaitable[None]], interval_s: float) -> AsyncIterator[None]:
        """Checks the service while the context is open, then closes the channels."""
        prober = Prober(self._readiness, self.name, check, interval_s=interval_s)
        try:
            async with prober.running():
                yield
        finally:
            await self.channel.close()
            await self.probe_channel.close()

    @property
    def available(self) -> bool:
        """Says whether a call has a chance: the last check passed and not every connection is broken."""
        broken = self.channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.TRANSIENT_FAILURE
        return self.name not in self._readiness.failing() and not broken

    def require(self) -> None:
        """Refuses new work at once while the service is away.

        Raises:
            Unavailable: it is away.
        """
        if not self.available:
            raise Unavailable(f"The {self.name} service is away at the moment.", retry_after_s=1.0)

    async def call(
        self, method: RemoteMethod[Request, Response], request: Request, check: Callable[[Response], None]
    ) -> Response:
        """Calls the service for a request that the gateway has accepted.

        `check` raises what the answer says of the request's items, such as that Triton, behind the service, went away.

        Should it go away meanwhile, the call waits for it to come back and is made once more: every hop only computes,
        so doing it twice harms nobody, and a request once accepted survives a restart.

        Raises:
            TriptychError: what the service answered.
        """
        self._budget.earn()
        try:
            return await _attempt(method, request, check)
        except Unavailable:
            if not self._budget.spend() or not await self._back():
                raise
        outcome = "failed"
        try:
            response = await _attempt(method, request, check)
            outcome = "succeeded"
        finally:
            RETRIES.labels(self.name, outcome).inc()
        return response

    async def _back(self) -> bool:
        """Waits until the service is available again; False when that takes too long."""
        try:
            async with asyncio.timeout(min(self._hold_s, context.time_left_s())):
                await asyncio.sleep(0.02)  # what broke may not have been noticed yet
                while not self.available:  # noqa: ASYNC110 (gRPC has no event for "healthy again")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return False
        return True


async def _attempt(
    method: RemoteMethod[Request, Response], request: Request, check: Callable[[Response], None]
) -> Response:
    response = await method(request, context.time_left_s())
    check(response)
    return response
