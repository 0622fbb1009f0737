"""Both ends of a hop over gRPC."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from benchmarks.hops.codecs import Codec
from benchmarks.hops.payload import HOPS
from benchmarks.hops.shapes import MAX_MESSAGE_BYTES, Shape
from servicekit import context
from servicekit.channel import open_channel
from servicekit.metrics import RpcMetrics
from servicekit.remote import RemoteMethod
from servicekit.server import GrpcServer
from servicekit.settings import ProcessSettings

Call = Callable[[Any], Awaitable[Any]]

LIMITS = (("grpc.max_send_message_length", MAX_MESSAGE_BYTES), ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES))
SERVER_LIMITS = (*LIMITS, ("grpc.so_reuseport", 0))
TIMEOUT_S = 20.0


async def serve(shape: Shape, address: str, codecs: Mapping[str, Codec]) -> tuple[grpc.aio.Server, str]:
    """Starts a plain server; returns it, which must be kept, and the address for the client."""
    server = grpc.aio.server(options=(*SERVER_LIMITS, *shape.options))
    server.add_generic_rpc_handlers(_handlers(codecs, streaming=shape.transport != "unary"))
    port = server.add_insecure_port(address)
    await server.start()
    return server, address if shape.unix else f"127.0.0.1:{port}"


async def serve_kit(shape: Shape, codecs: Mapping[str, Codec]) -> tuple[GrpcServer, str]:
    """Starts the server that the services start."""
    settings = ProcessSettings(request_log=shape.request_log)

    def register(server: grpc.aio.Server) -> None:
        server.add_generic_rpc_handlers(_handlers(codecs, streaming=False))

    server = GrpcServer(settings, [], register, parcels=True)
    await server.start()
    return server, f"127.0.0.1:{server.port}"


def _handlers(codecs: Mapping[str, Codec], *, streaming: bool) -> tuple[Any, ...]:
    make = _stream_handler if streaming else _unary_handler
    services = [(*HOPS[name].method.split("/")[1:], make(codec)) for name, codec in codecs.items()]
    return tuple(
        grpc.method_handlers_generic_handler(service, {method: handler}) for service, method, handler in services
    )


def _unary_handler(codec: Codec) -> Any:
    async def answer(request: Any, _context: Any) -> Any:
        return codec.answer(request)

    return grpc.unary_unary_rpc_method_handler(answer, _parse(codec.request_type), _serialise(codec.response_type))


def _stream_handler(codec: Codec) -> Any:
    async def answer(requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield codec.answer(request)

    return grpc.stream_stream_rpc_method_handler(answer)


def _parse(message: Any) -> Any:
    return message.FromString if message else None


def _serialise(message: Any) -> Any:
    return message.SerializeToString if message else None


def connect(shape: Shape, address: str) -> grpc.aio.Channel:
    """Opens the channel of a shape."""
    if shape.transport == "servicekit":
        context.enter(context.accept(None, None))
        return open_channel(f"ipv4:{address}", max_message_bytes=MAX_MESSAGE_BYTES)
    return grpc.aio.insecure_channel(address, options=(*LIMITS, *shape.options))


def call(shape: Shape, channel: grpc.aio.Channel, method: str, codec: Codec, metrics: RpcMetrics) -> Call:
    """Returns what sends one message of a method and awaits the answer."""
    if shape.transport == "streams":
        return Streams(channel, method)
    if shape.transport == "stream":
        return Stream(channel, method)
    if shape.transport == "servicekit":
        remote: RemoteMethod[Any, Any] = RemoteMethod("other", method, channel, metrics)
        return lambda request: remote(request, TIMEOUT_S)
    unary: Any = channel.unary_unary(
        method, request_serializer=_serialise(codec.request_type), response_deserializer=_parse(codec.response_type)
    )

    async def plain(request: Any) -> Any:
        return await unary(request, timeout=TIMEOUT_S)

    return plain


def client_metrics() -> RpcMetrics:
    """Returns metrics of this process's own."""
    return RpcMetrics("client", CollectorRegistry())


class Streams:
    """Keeps long-lived streams, each with one message in flight at a time."""

    def __init__(self, channel: grpc.aio.Channel, method: str) -> None:
        self._open: Any = channel.stream_stream(method)
        self._idle: list[Any] = []

    async def __call__(self, request: Any) -> Any:
        """Sends a message over an idle stream."""
        stream = self._idle.pop() if self._idle else self._open()
        await stream.write(request)
        response = await stream.read()
        self._idle.append(stream)
        return response


class Stream:
    """Keeps one long-lived stream with all messages in flight; answers come in the order of the messages."""

    def __init__(self, channel: grpc.aio.Channel, method: str) -> None:
        self._stream: Any = channel.stream_stream(method)()
        self._writing = asyncio.Lock()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while (response := await self._stream.read()) is not grpc.aio.EOF:
            self._waiting.popleft().set_result(response)

    async def __call__(self, request: Any) -> Any:
        """Sends a message when those before it are written."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        async with self._writing:
            self._waiting.append(answered)
            await self._stream.write(request)
        return await answered
