"""Keeps up with the experiments service: what it said last counts until it says something else."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from gateway.experiments.metrics import AGE, CHANGED, FAULTS, POLL_FAILED, REVISION, SAME, forget
from gateway.experiments.routes import Routes, read_routes
from servicekit.errors import TriptychError
from triptych.experiments.v1 import evidence_service_pb2 as pb

log = structlog.get_logger()

INTERVAL_S = 1.0
TIMEOUT_S = 1.0
"""Of a question; together with the pause within the two seconds in which a change reaches every gateway."""
START_S = 3.0
"""How long a gateway that starts waits to hear what runs: until it has, the default versions answer everybody."""
AGAIN_S = 0.1
"""Pause between two questions meanwhile."""

Ask = Callable[[pb.GetRoutingRequest, float], Awaitable[pb.GetRoutingResponse]]


class Feed:
    """Knows the routes, as of the last time that the service answered."""

    def __init__(self, ask: Ask, interval_s: float) -> None:
        """Knows nothing at first.

        Args:
            ask: asks the service, within so many seconds.
            interval_s: pause between two questions.
        """
        self.routes = Routes()
        self._ask = ask
        self._interval_s = interval_s
        self._answered_s = time.monotonic()
        self._away = False
        self._seen: set[str] = set()
        AGE.set_function(lambda: time.monotonic() - self._answered_s)

    async def begin(self, within_s: float = START_S) -> None:
        """Asks until the service has answered, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not await self.ask():  # noqa: ASYNC110 (nobody tells when the service is there)
                    await asyncio.sleep(AGAIN_S)

    async def follow(self) -> None:
        """Asks again and again, forever."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.ask()

    async def ask(self) -> bool:
        """Asks once, and says whether that was answered; whatever goes wrong, what is known stays."""
        try:
            response = await self._ask(pb.GetRoutingRequest(known_revision=self.routes.revision), TIMEOUT_S)
            self._learn(response)
        except TriptychError as error:
            POLL_FAILED.inc()
            if not self._away:
                log.warning("the experiments service does not say what runs", reason=error.reason, detail=error.message)
            self._away = True
        except Exception:
            POLL_FAILED.inc()
            log.exception("what the experiments service said cannot be used")
        else:
            return True
        return False

    def _learn(self, response: pb.GetRoutingResponse) -> None:
        self._answered_s, self._away = time.monotonic(), False
        if response.revision == self.routes.revision:
            SAME.inc()
            return
        CHANGED.inc()
        self.routes = read_routes(response)
        REVISION.set(self.routes.revision)
        self._seen |= self.routes.names
        forget(self._seen - self.routes.names)  # all of them, since the last requests of one end after it does
        for fault in self.routes.faults:
            FAULTS.inc()
            log.error("the experiments service said what makes no sense", fault=fault)
        log.info("routing changed", revision=self.routes.revision, experiments=sorted(self.routes.names))
