"""Serves registered servicers over links, through the layers that gRPC's server has about them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import grpc
import structlog

from servicekit.around import Layers
from servicekit.link.call import CallContext, failure
from servicekit.link.wire import Frames, FrameTooLargeError, UnexpectedFrameError
from servicekit.parcel import Piece
from servicekit.tls import Tls
from triptych.link.v1.link_pb2 import Answer, Begin, Failure, Head, Serving

log = structlog.get_logger()


class LinkServer:
    """Takes servicers, as a `grpc.aio.Server` does, and answers whoever connects."""

    def __init__(self, layers: Layers, max_message_bytes: int) -> None:
        self.max_message_bytes = max_message_bytes
        """Limit of a message, in and out."""
        self._layers = layers
        self._methods: dict[str, Any] = {}
        self._connections: set[_Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        self._ready = self._closing = False

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Takes the handlers of a service; generated code calls it."""
        for name, handler in handlers.items():
            method = f"/{service}/{name}"
            if handler.unary_unary:
                self._methods[method] = self._layers.wrap(method, handler)

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Does nothing: generated code gives each handler by its name as well."""

    async def start(self, host: str, port: int, tls: Tls | None = None) -> int:
        """Listens, and returns the port; with `tls`, to callers who show a certificate.

        Raises:
            OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._frames, host, port, **({} if tls is None else tls.listening()))
        return int(self._server.sockets[0].getsockname()[1])

    def _frames(self) -> Frames:
        return Frames(self.max_message_bytes, _Connection(self), waits=True)  # callers read, whatever else they do

    def set_ready(self, *, ready: bool) -> None:
        """Tells every caller whether calls are wanted."""
        self._ready = ready
        for connection in self._connections:
            connection.tell(ready=ready)

    async def stop(self, grace_s: float) -> None:
        """Lets no new caller in, gives calls under way and their answers so many seconds to leave, then closes."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while calls := [call for connection in self._connections for call in connection.calls.values()]:
                    await asyncio.wait(calls)
                for connection in self._connections:
                    connection.close()
                await self._empty.wait()
        for connection in self._connections:
            connection.abort()
        await self._empty.wait()

    def joined(self, connection: "_Connection") -> None:
        """Takes note of a caller."""
        self._connections.add(connection)
        self._empty.clear()
        connection.tell(ready=self._ready)
        if self._closing:
            connection.close()

    def left(self, connection: "_Connection") -> None:
        """Forgets a caller."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def method(self, name: str) -> Any:
        """Returns the handler of a method, or None."""
        return self._methods.get(name)


class _Connection:
    """Is one caller, with its calls under way; each is answered exactly once, also when its caller has left it."""

    _frames: Frames

    def __init__(self, server: LinkServer) -> None:
        self._server = server
        self.calls: dict[int, asyncio.Task[None]] = {}

    def opened(self, frames: Frames) -> None:
        self._frames = frames
        self._server.joined(self)

    def closed(self, problem: str) -> None:
        log.debug("a link was closed", problem=problem)
        self._server.left(self)
        for call in self.calls.values():
            call.cancel()

    def close(self) -> None:
        self._frames.close()

    def abort(self) -> None:
        self._frames.abort()

    def tell(self, *, ready: bool) -> None:
        self._frames.send(Head(serving=Serving(ready=ready)))

    def received(self, head: Head, payload: memoryview | None) -> None:
        kind, call = head.WhichOneof("kind"), self.calls.get(head.call)
        if kind == "begin" and call is None:
            self._begin(head.call, head.begin, payload)
        elif kind == "cancel":
            if call is not None:
                call.cancel()
        else:
            raise UnexpectedFrameError(f"no caller sends {kind} now")

    def _begin(self, number: int, begin: Begin, payload: memoryview | None) -> None:
        call = self.calls[number] = asyncio.create_task(self._answer(number, begin, payload))
        call.add_done_callback(partial(self._ended, number))

    def _ended(self, number: int, call: "asyncio.Task[None]") -> None:
        del self.calls[number]
        if call.cancelled():
            self._fail(number, failure(grpc.StatusCode.CANCELLED, "The call was cancelled."))

    async def _answer(self, number: int, begin: Begin, payload: memoryview | None) -> None:
        context = CallContext(begin)
        try:
            response = await self._handled(begin.method, payload, context)
            self._frames.send(Head(call=number, answer=Answer()), [response])
        except grpc.aio.AbortError:
            self._fail(number, context.failure, context.details)
        except FrameTooLargeError as error:
            self._fail(number, failure(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)))
        except Exception:
            log.exception("unexpected error", method=begin.method)
            self._fail(number, failure(grpc.StatusCode.INTERNAL, "Something went wrong."))

    async def _handled(self, name: str, payload: memoryview | None, context: CallContext) -> bytes:
        method = self._server.method(name)
        if method is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"There is no method {name[:128]!r}.")
        if payload is None:
            raise FrameTooLargeError(f"A request has more than {self._server.max_message_bytes} bytes.")
        response: bytes = method.response_serializer(
            await method.unary_unary(method.request_deserializer(payload), context)
        )
        return response

    def _fail(self, number: int, problem: Failure, details: Piece = b"") -> None:
        try:
            self._frames.send(Head(call=number, failure=problem), [details])
        except FrameTooLargeError as error:
            problem = failure(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
            self._frames.send(Head(call=number, failure=problem))
