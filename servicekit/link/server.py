"""Serves registered servicers over links, through the layers that gRPC's server has about them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import grpc
import structlog

from servicekit.around import Layers
from servicekit.link.call import CallContext, failure
from servicekit.link.wire import Frames, FrameTooLargeError
from triptych.link.v1.link_pb2 import Answer, Begin, Head, Serving

log = structlog.get_logger()


class LinkServer:
    """Takes servicers, as a `grpc.aio.Server` does, and answers whoever connects."""

    def __init__(self, layers: Layers, max_message_bytes: int) -> None:
        self._layers = layers
        self._max_message_bytes = max_message_bytes
        self._methods: dict[str, Any] = {}
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._ready = False

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Takes the handlers of a service; generated code calls it."""
        for name, handler in handlers.items():
            method = f"/{service}/{name}"
            if handler.unary_unary:
                self._methods[method] = self._layers.wrap(method, handler)

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Does nothing: generated code gives each handler by its name as well."""

    async def start(self, host: str, port: int) -> int:
        """Listens, and returns the port.

        Raises:
            OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self).frames, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    def set_ready(self, *, ready: bool) -> None:
        """Tells every caller whether calls are wanted."""
        self._ready = ready
        for connection in self._connections:
            connection.tell(ready=ready)

    async def stop(self, grace_s: float) -> None:
        """Lets no new caller in, gives calls under way so many seconds, then closes."""
        if self._server is not None:
            self._server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while calls := [call for connection in self._connections for call in connection.calls.values()]:
                    await asyncio.wait(calls)
        for connection in list(self._connections):
            connection.frames.close()

    def joined(self, connection: "_Connection") -> None:
        """Takes note of a caller."""
        self._connections.add(connection)
        connection.tell(ready=self._ready)

    def left(self, connection: "_Connection") -> None:
        """Forgets a caller."""
        self._connections.discard(connection)

    @property
    def max_message_bytes(self) -> int:
        """Returns the limit of a message, in and out."""
        return self._max_message_bytes

    def method(self, name: str) -> Any:
        """Returns the handler of a method, or None."""
        return self._methods.get(name)


class _Connection:
    """Is one caller, with its calls under way."""

    def __init__(self, server: LinkServer) -> None:
        self._server = server
        self.frames = Frames(server.max_message_bytes, self)
        self.calls: dict[int, asyncio.Task[None]] = {}

    def opened(self) -> None:
        self._server.joined(self)

    def closed(self, problem: str) -> None:
        log.debug("a link was closed", problem=problem)
        self._server.left(self)
        for call in self.calls.values():
            call.cancel()

    def tell(self, *, ready: bool) -> None:
        self.frames.send(Head(serving=Serving(ready=ready)))

    def received(self, head: Head, payload: memoryview) -> None:
        kind = head.WhichOneof("kind")
        if kind == "begin" and head.call not in self.calls:
            call = self.calls[head.call] = asyncio.create_task(self._answer(head.call, head.begin, payload))
            call.add_done_callback(lambda _: self.calls.pop(head.call))
        elif kind == "cancel":
            if head.call in self.calls:
                self.calls[head.call].cancel()
        else:
            self.frames.close(f"a frame of the kind {kind}, which no caller sends")

    async def _answer(self, number: int, begin: Begin, payload: memoryview) -> None:
        context = CallContext(begin)
        try:
            response = await self._handled(begin.method, payload, context)
            self.frames.send(Head(call=number, answer=Answer()), [response])
        except grpc.aio.AbortError:
            self.frames.send(Head(call=number, failure=context.failure), [context.details])
        except FrameTooLargeError as error:
            self.frames.send(Head(call=number, failure=failure(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))))
        except Exception:
            log.exception("unexpected error", method=begin.method)
            self.frames.send(Head(call=number, failure=failure(grpc.StatusCode.INTERNAL, "Something went wrong.")))

    async def _handled(self, name: str, payload: memoryview, context: CallContext) -> bytes:
        method = self._server.method(name)
        if method is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"There is no method {name}.")
        request = method.request_deserializer(payload)
        response: bytes = method.response_serializer(await method.unary_unary(request, context))
        return response
