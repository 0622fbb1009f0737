"""Links to all replicas of a service, as what stubs need of a `grpc.aio.Channel`."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from servicekit import names
from servicekit.link.call import RPC_SYSTEM
from servicekit.link.peer import Peer, rpc_error
from servicekit.link.target import SCHEME, Target
from servicekit.names import Address
from servicekit.tls import Tls
from triptych.link.v1.link_pb2 import Begin

__all__ = ["SCHEME", "LinkChannel"]


class LinkChannel:
    """Sends each call to the least busy replica."""

    rpc_system = RPC_SYSTEM

    def __init__(
        self,
        target: str,
        *,
        max_message_bytes: int,
        only_ready: bool,
        tls: Tls | None = None,
        server_name: str | None = None,
    ) -> None:
        """Begins to connect. Call it in a running event loop.

        Args:
            target: see `Target`.
            max_message_bytes: largest message, in and out.
            only_ready: whether calls go only to replicas that say they are ready, or to any that is connected.
            tls: how to prove who both ends are; without it nothing is encrypted.
            server_name: whom a replica's certificate must be for; by default the name, or each address, in the target.

        Raises:
            ValueError: the target is none.
        """
        self._max_message_bytes = max_message_bytes
        self._only_ready = only_ready
        self._tls = tls
        self._peers: dict[Address, Peer] = {}
        self._retiring: dict[Peer, asyncio.Task[None]] = {}
        self._resolver: asyncio.Task[None] | None = None
        self._resolved = asyncio.Event()
        parsed = Target.parse(target)
        self._server_name = server_name or (parsed.addresses[0][0] if parsed.is_name else None)
        if parsed.is_name:
            self._resolver = asyncio.create_task(self._follow(*parsed.addresses[0]))
        else:
            self._update(parsed.addresses)

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes] = bytes,
        response_deserializer: Callable[[Any], Any] = bytes,
        **_: Any,
    ) -> Callable[..., Any]:
        """Returns a method, which takes `request`, `timeout` and `metadata`."""

        async def call(request: Any, *, timeout: float, metadata: Any = None, **_: Any) -> Any:  # noqa: ASYNC109 (gRPC's own name)
            begin = Begin(method=method, time_left_ms=timeout * 1e3, metadata=dict(metadata or ()))
            try:
                async with asyncio.timeout(timeout):
                    peer = await self._pick()
                    answer = await peer.call(begin, [request_serializer(request)])
                return response_deserializer(answer)
            except TimeoutError:
                raise rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "The call took too long.") from None
            except DecodeError:
                raise rpc_error(grpc.StatusCode.INTERNAL, f"What came is no answer of {method}.") from None

        return call

    def unary_stream(self, method: str, *_: Any, **__: Any) -> Callable[..., NoReturn]:
        """Returns a method that cannot be called: links carry unary calls only."""

        def call(*_: Any, **__: Any) -> NoReturn:
            raise NotImplementedError(f"{method} streams, and links carry unary calls only")

        return call

    stream_stream = unary_stream

    def get_state(self, **_: Any) -> grpc.ChannelConnectivity:
        """Says whether a call has a chance."""
        if self._usable():
            return grpc.ChannelConnectivity.READY
        if self._resolved.is_set() and not self._untried():
            return grpc.ChannelConnectivity.TRANSIENT_FAILURE
        return grpc.ChannelConnectivity.CONNECTING

    async def close(self, *_: Any) -> None:
        """Ends every connection, and every call."""
        self._resolved.set()
        if self._resolver is not None:
            self._resolver.cancel()
            with suppress(asyncio.CancelledError):
                await self._resolver
        for task in self._retiring.values():
            task.cancel()
        for peer in (*self._peers.values(), *self._retiring):
            await peer.close()

    async def _pick(self) -> Peer:
        await self._resolved.wait()
        while not (usable := self._usable()) and (untried := self._untried()):
            await asyncio.wait(untried, return_when=asyncio.FIRST_COMPLETED)
        if not usable:
            raise rpc_error(grpc.StatusCode.UNAVAILABLE, "No replica can be reached that is ready.")
        return min(usable, key=lambda peer: peer.burden)

    def _usable(self) -> list[Peer]:
        return [peer for peer in self._peers.values() if peer.ready or (peer.connected and not self._only_ready)]

    def _untried(self) -> list["asyncio.Future[None]"]:
        return [peer.tried for peer in self._peers.values() if not peer.tried.done()]

    def _update(self, addresses: Iterable[Address]) -> None:
        """Makes a peer of each new address, and ends those whose address is gone."""
        wanted = set(addresses)
        for address in self._peers.keys() - wanted:
            gone = self._peers.pop(address)
            self._retiring[gone] = asyncio.create_task(gone.retire())
        for address in sorted(wanted - self._peers.keys()):
            how = {} if self._tls is None else self._tls.connecting(self._server_name or address[0])
            self._peers[address] = Peer(address, self._max_message_bytes, how)
        self._resolved.set()

    async def _follow(self, host: str, port: int) -> None:
        """Keeps the peers in step with the addresses of a name."""
        async for found in names.follow(host, port):
            if found is None:
                self._resolved.set()
            else:
                self._retiring = {peer: task for peer, task in self._retiring.items() if not task.done()}
                self._update(found)
