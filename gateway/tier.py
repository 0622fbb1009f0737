"""One service behind the gateway, all its replicas together: is it there, and how a call survives a replica's end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import TypeVar

import grpc

from gateway.metrics import RETRIES, RETRY_BUDGET
from gateway.replicas import listed, resolved
from gateway.retry import RetryBudget
from gateway.settings import GatewaySettings
from servicekit import context
from servicekit.errors import Unavailable
from servicekit.health import Check, Prober, Readiness
from servicekit.server import background

Result = TypeVar("Result")
Connect = Callable[..., grpc.aio.Channel]
"""Opens a channel, as `servicekit.channel.open_channel` does."""

COUNT_INTERVAL_S = 5.0
OUTCOMES = ("succeeded", "failed", "not_back", "no_budget")


class Tier:
    """Is one service, reached over a channel that spreads calls over its healthy replicas."""

    def __init__(
        self,
        name: str,
        target: str,
        health_service: str,
        make_check: Callable[["Tier"], Check],
        readiness: Readiness,
        settings: GatewaySettings,
        connect: Connect,
    ) -> None:
        """Opens the channels.

        Args:
            name: what errors and readiness call the service.
            target: gRPC name of its replicas.
            health_service: name whose health says whether a replica gets calls.
            make_check: builds the check that tells whether the service is there.
            readiness: where that is recorded, under `name`.
            settings: the gateway's.
            connect: opens a channel.
        """
        limit = settings.max_message_bytes
        self.name = name
        self.channel = connect(target, max_message_bytes=limit, health_service=health_service)
        self._connect_any = partial(connect, target, max_message_bytes=limit)
        self.replicas = listed(target) or 1
        """How many there are, as far as is known."""
        self._target = target
        self._readiness = readiness
        self._prober = Prober(readiness, name, make_check(self), interval_s=settings.probe_interval_s)
        self._hold_s = settings.hold_s
        self.budget = RetryBudget()
        """Of second attempts, whoever makes them."""
        RETRY_BUDGET.labels(name).set_function(lambda: self.budget.tokens)
        self._retries = {outcome: RETRIES.labels(name, outcome) for outcome in OUTCOMES}

    @cached_property
    def probe_channel(self) -> grpc.aio.Channel:
        """Returns a channel that also reaches replicas that say they are not ready; few checks need it."""
        return self._connect_any()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Checks the service while the context is open, then closes the channels."""
        try:
            async with self._prober.running(), background(self._count()):
                yield
        finally:
            await self.channel.close()
            if "probe_channel" in vars(self):  # somebody asked for it
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

    async def _count(self) -> None:
        while listed(self._target) is None:
            self.replicas = await resolved(self._target)
            await asyncio.sleep(COUNT_INTERVAL_S)

    def answered(self) -> None:
        """Takes note that the service answered: it is there, however slow its checks are."""
        self._prober.answered()

    async def call(self, attempt: Callable[[], Awaitable[Result]], able: Callable[[], bool] = lambda: True) -> Result:
        """Calls the service for a request that the gateway has accepted.

        Should it go away meanwhile, the call waits for it to come back and is made once more: every hop only computes,
        so doing it twice harms nobody, and a request once accepted survives a restart.

        Args:
            attempt: calls the service, and raises also what the answer says of the request's items, such as that
                Triton went away.
            able: says whether the service, being there, can do this call too, such as run this model.

        Raises:
            TriptychError: what the service answered.
        """
        self.budget.earn()
        try:
            return await attempt()
        except Unavailable:
            if not self.budget.spend():
                self._retries["no_budget"].inc()
                raise
            if not await self._back(able):
                self._retries["not_back"].inc()
                raise
        outcome = "failed"
        try:
            result = await attempt()
            outcome = "succeeded"
        finally:
            self._retries[outcome].inc()
        return result

    async def _back(self, able: Callable[[], bool]) -> bool:
        """Waits until a check that began after this moment has passed; False when that takes too long."""
        failed_at = time.monotonic()
        self._prober.hurry()
        try:
            async with asyncio.timeout(min(self._hold_s, context.time_left_s())):
                while not (self._prober.passed_at > failed_at and self.available and able()):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)  # gRPC has no event for "healthy again"
        except TimeoutError:
            return False
        return True
