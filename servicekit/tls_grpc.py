"""gRPC over TLS: servers and channels that use the certificate of the moment, and servers that know their callers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import grpc
import structlog

from servicekit.tls import Tls
from servicekit.tls_files import Pem

log = structlog.get_logger()

CLOSE_GRACE_S = 60.0
"""For calls on a channel that another one has replaced; none may take longer by default."""


def server_credentials(tls: Tls) -> grpc.ServerCredentials:
    """Returns the credentials of one server; each new connection gets the certificate of the moment."""
    used = tls.pem

    def renewed() -> Any:
        nonlocal used
        if tls.pem is used:
            return None  # nothing has changed
        used = tls.pem
        return _configuration(used)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(used), renewed, require_client_authentication=bool(used.authorities)
    )


def _configuration(pem: Pem) -> Any:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], pem.authorities or None)


class CallersInterceptor(grpc.aio.ServerInterceptor):
    """Refuses every method, health and reflection too, to callers whose certificate holds no allowed name."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Returns the method's handler behind the check."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary), **codec)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._streaming(handler.unary_stream), **codec)
        return grpc.stream_stream_rpc_method_handler(self._streaming(handler.stream_stream), **codec)

    def _unary(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def call(request: Any, context: Any) -> Any:
            await self._check(context)
            return await inner(request, context)

        return call

    def _streaming(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def call(request: Any, context: Any) -> None:
            await self._check(context)
            responses = inner(request, context)
            if not isinstance(responses, AsyncIterator):
                await responses  # a handler that writes by itself
                return
            async for response in responses:
                await context.write(response)

        return call

    async def _check(self, context: Any) -> None:
        names = {name.decode().lower() for name in context.auth_context().get("peer_dns", ())}
        if not self._tls.callers & names:
            log.warning("a caller is refused", peer=context.peer(), names=sorted(names))
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "The caller's certificate names no allowed caller.")


class SecureChannel:
    """Is a channel over TLS, as stubs need one: when there is a new certificate, another connection takes its place.

    gRPC's credentials for channels cannot change, so there is a second channel; calls move to it once it is connected.
    """

    def __init__(self, target: str, options: list[tuple[str, str | int]], tls: Tls) -> None:
        self._target = target
        self._options = options
        self._tls = tls
        self._pem = tls.pem
        self._channel = self._open()
        self._next: grpc.aio.Channel | None = None
        self._closing: dict[asyncio.Task[None], grpc.aio.Channel] = {}

    def unary_unary(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Returns a method as a channel of gRPC does."""
        return self._method("unary_unary", args, kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Returns a method as a channel of gRPC does."""
        return self._method("unary_stream", args, kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Returns a method as a channel of gRPC does."""
        return self._method("stream_stream", args, kwargs)

    def get_state(self, *, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Says how the connection is."""
        return self._current().get_state(try_to_connect=try_to_connect)

    async def close(self, grace: float | None = None) -> None:
        """Ends every connection."""
        replaced = dict(self._closing)
        for task in replaced:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for channel in filter(None, (self._channel, self._next, *replaced.values())):
            await channel.close(grace)

    def _method(self, kind: str, args: Any, kwargs: Any) -> Callable[..., Any]:
        bound: tuple[grpc.aio.Channel | None, Any] = (None, None)

        def call(*request: Any, **options: Any) -> Any:
            nonlocal bound
            channel = self._current()
            if bound[0] is not channel:
                bound = (channel, getattr(channel, kind)(*args, **kwargs))
            return bound[1](*request, **options)

        return call

    def _open(self) -> grpc.aio.Channel:
        pem = self._pem
        credentials = grpc.ssl_channel_credentials(pem.authorities, pem.key, pem.certificate)
        return grpc.aio.secure_channel(self._target, credentials, self._options)

    def _current(self) -> grpc.aio.Channel:
        if self._tls.pem is not self._pem:
            self._pem = self._tls.pem
            if self._next is not None:
                self._close(self._next)
            self._next = self._open()
        if self._next is not None and (_connected(self._next) or not _connected(self._channel)):
            self._close(self._channel)
            self._channel, self._next = self._next, None
        return self._channel

    def _close(self, channel: grpc.aio.Channel) -> None:
        task = asyncio.create_task(channel.close(CLOSE_GRACE_S))
        self._closing[task] = channel
        task.add_done_callback(lambda done: self._closing.pop(done, None))


def _connected(channel: grpc.aio.Channel) -> bool:
    return channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY
