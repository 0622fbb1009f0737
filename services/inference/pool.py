"""All Triton servers of the pool: which are ready, and which one gets the next request."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc

from servicekit.errors import Reason, Unavailable
from servicekit.health import Prober, Readiness
from servicekit.manifest import Manifest
from servicekit.parcel import Piece
from services.inference.catalog import Loaded, merge, preferred
from services.inference.servers import TritonServers
from services.inference.triton import Logits, Triton

CONDITION = "triton"
PROBE_TIMEOUT_S = 0.5
SERVER_TIMEOUT_S = 0.8
"""For all questions to one server in one round, whatever hangs."""
ROUND_TIMEOUT_S = 1.0
"""More than that, so that what a server lost is written down before the round is given up."""


class TritonPool:
    """Sends each request to the least busy server that has the version ready."""

    def __init__(
        self, servers: TritonServers, manifests: Mapping[str, Manifest], readiness: Readiness, interval_s: float
    ) -> None:
        self._servers = servers
        self._manifests = manifests
        self._readiness = readiness
        # One failure is enough: the servers themselves forgive a single late answer.
        self._prober = Prober(
            readiness, CONDITION, self.refresh, interval_s=interval_s, timeout_s=ROUND_TIMEOUT_S, failures=1
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Probes the servers while the context is open, then closes the channels."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._servers.running())
            await stack.enter_async_context(self._prober.running())
            yield

    def servers(self) -> Sequence[Triton]:
        """Returns the servers as they are now; any thread may ask."""
        return tuple(self._servers)

    async def refresh(self) -> None:
        """Asks every server what it has loaded.

        Raises:
            Unavailable: no server has any version of any model ready, or that is not known yet of those that answer
                who names none.
        """
        await self._servers.let_go()
        manifests = dict(self._manifests)  # one state of the repository for all of this round
        await asyncio.gather(*(self._ask(server, manifests) for server in self._servers))
        problems = {key: loaded.problem for key, loaded in self.loaded().items()}
        if not problems:
            raise Unavailable("No Triton server answers with a loaded model.")
        if all(problems.values()):
            raise Unavailable(f"No model is usable: {next(iter(problems.values()))}")
        if CONDITION in self._readiness.failing():
            self._await_preferred(manifests)

    def _await_preferred(self, manifests: Mapping[str, Manifest]) -> None:
        """Keeps a process that has just started from saying that it is ready on the strength of a lesser version.

        Its callers would believe that the default version is away, and refuse requests that its twins answer.
        """
        for name, manifest in manifests.items():
            version = preferred(manifest)
            if any(server.examines(name, version) for server in self._servers):
                raise Unavailable(f"Version {version} of the model {name!r} is still being tried.")

    async def _ask(self, server: Triton, manifests: Mapping[str, Manifest]) -> None:
        try:
            async with asyncio.timeout(SERVER_TIMEOUT_S):
                await server.refresh(manifests, PROBE_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return  # the server has forgotten its versions, which is what the others need to know
        except TimeoutError:
            server.forget_all()

    def loaded(self) -> dict[tuple[str, str], Loaded]:
        """Returns what the servers have loaded, together."""
        return merge(server.versions for server in self._servers)

    async def infer(
        self, manifest: Manifest, version: str, rows: int, pieces: Sequence[Piece], timeout_s: float
    ) -> Logits:
        """Runs a model, as `Triton.infer` does, and once more on another server when the first one is away.

        Raises:
            Unavailable: no server has the version ready.
            TriptychError: as `Triton.infer`.
        """
        deadline = time.monotonic() + timeout_s
        first, *others = self._able(manifest.name, version)
        try:
            logits = await first.infer(manifest, version, rows, pieces, timeout_s)
            self._prober.answered()
            return logits  # noqa: TRY300
        except Unavailable as error:
            await self._lost(first, manifest.name, version, error)
            if not others:
                raise
        # It died or is stopping. Only this process knows its twins, and computing twice harms nobody.
        return await others[0].infer(manifest, version, rows, pieces, deadline - time.monotonic())

    def _able(self, model: str, version: str) -> list[Triton]:
        """Returns the servers that have a version ready, the least busy one first."""
        key = (model, version)
        able = [server for server in self._servers if key in server.versions and not server.versions[key].problem]
        if not able:
            raise Unavailable("The model server is away.", reason=Reason.MODEL_NOT_READY, retry_after_s=1.0)
        return sorted(able, key=lambda server: server.in_flight)

    async def _lost(self, server: Triton, model: str, version: str, error: Unavailable) -> None:
        """Asks a server nothing more until a check has found it again, and says so when it was the last one."""
        if error.reason is Reason.MODEL_NOT_READY:
            server.forget(model, version)
        else:
            server.forget_all()
        if all(loaded.problem for loaded in self.loaded().values()):
            await self._readiness.set(CONDITION, error.message)
