"""Links to all replicas of a service, as what stubs need of a `grpc.aio.Channel`."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NoReturn

import grpc
import structlog

from servicekit.link.peer import Address, Peer, rpc_error
from triptych.link.v1.link_pb2 import Begin

log = structlog.get_logger()

SCHEME = "link:"
RESOLVE_INTERVAL_S = 1.0


class LinkChannel:
    """Sends each call to the least busy replica."""

    def __init__(self, target: str, *, max_message_bytes: int, only_ready: bool) -> None:
        """Begins to connect. Call it in a running event loop.

        Args:
            target: `link:10.0.0.1:9001,10.0.0.2:9001`, or `link:///preprocess:9001` for every address of a name.
            max_message_bytes: largest message, in and out.
            only_ready: whether calls go only to replicas that say they are ready, or to any that is connected.
        """
        self._max_message_bytes = max_message_bytes
        self._only_ready = only_ready
        self._peers: dict[Address, Peer] = {}
        self._retired: set[asyncio.Task[None]] = set()
        self._resolver: asyncio.Task[None] | None = None
        self._resolved = asyncio.Event()
        name = target.removeprefix(SCHEME)
        if name.startswith("///"):
            self._resolver = asyncio.create_task(self._follow(_address(name[3:])))
        else:
            self._update(_address(each) for each in name.split(","))

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, **_: Any
    ) -> "Callable[..., Any]":
        """Returns a method, which takes `request`, `timeout` and `metadata`."""

        async def call(request: Any, *, timeout: float, metadata: Any = None, **_: Any) -> Any:  # noqa: ASYNC109 (gRPC's own name)
            begin = Begin(method=method, time_left_ms=timeout * 1e3, metadata=dict(metadata or ()))
            try:
                async with asyncio.timeout(timeout):
                    peer = await self._pick()
                    answer = await peer.call(begin, [request_serializer(request)])
            except TimeoutError:
                raise rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "The call took too long.") from None
            return response_deserializer(answer)

        return call

    def unary_stream(self, method: str, *_: Any, **__: Any) -> Callable[..., NoReturn]:
        """Returns a method that cannot be called: links carry unary calls only."""

        def call(*_: Any, **__: Any) -> NoReturn:
            raise NotImplementedError(f"{method} streams, and links carry unary calls only")

        return call

    def get_state(self, **_: Any) -> grpc.ChannelConnectivity:
        """Says whether a call has a chance."""
        if self._usable():
            return grpc.ChannelConnectivity.READY
        if self._resolved.is_set() and all(peer.tried.is_set() for peer in self._peers.values()):
            return grpc.ChannelConnectivity.TRANSIENT_FAILURE
        return grpc.ChannelConnectivity.CONNECTING

    async def close(self, *_: Any) -> None:
        """Ends every connection."""
        if self._resolver is not None:
            self._resolver.cancel()
            with suppress(asyncio.CancelledError):
                await self._resolver
        for peer in self._peers.values():
            await peer.close()

    async def _pick(self) -> Peer:
        await self._resolved.wait()
        if not self._usable():
            for peer in list(self._peers.values()):
                await peer.tried.wait()
        usable = self._usable()
        if not usable:
            raise rpc_error(grpc.StatusCode.UNAVAILABLE, "No replica can be reached that is ready.")
        return min(usable, key=lambda peer: peer.burden)

    def _usable(self) -> list[Peer]:
        return [peer for peer in self._peers.values() if peer.ready or (peer.connected and not self._only_ready)]

    def _update(self, addresses: Iterable[Address]) -> list[Peer]:
        """Makes a peer of each new address, and returns those whose address is gone."""
        wanted = set(addresses)
        gone = [self._peers.pop(address) for address in self._peers.keys() - wanted]
        for address in sorted(wanted - self._peers.keys()):
            self._peers[address] = Peer(address, self._max_message_bytes)
        self._resolved.set()
        return gone

    async def _follow(self, name: Address) -> None:
        """Keeps the peers in step with the addresses of a name."""
        while True:
            try:
                found = await asyncio.get_running_loop().getaddrinfo(*name, type=socket.SOCK_STREAM)
            except OSError as error:
                log.debug("a name cannot be resolved", name=name[0], problem=str(error))
            else:
                self._retired = {task for task in self._retired if not task.done()}
                gone = self._update((str(each[4][0]), int(each[4][1])) for each in found)
                self._retired |= {asyncio.create_task(peer.retire()) for peer in gone}
            self._resolved.set()
            await asyncio.sleep(RESOLVE_INTERVAL_S)


def _address(text: str) -> Address:
    host, _, port = text.strip().rpartition(":")
    return host.strip("[]"), int(port)
