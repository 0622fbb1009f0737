"""Both ends of a hop without gRPC, as the floor: length-prefixed frames over a socket, read where they will stay."""

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.hops.codecs import Codec
from benchmarks.hops.shapes import Shape
from benchmarks.hops.wire import Buffer

HEAD = struct.Struct("<II")  # number of bytes, index of the hop

Received = Callable[["Frames", int, memoryview], None]


class Frames(asyncio.BufferedProtocol):
    """Reads frames and hands each over in memory of its own."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self._transport: Any = None
        self._head = memoryview(bytearray(HEAD.size))
        self._body: memoryview | None = None
        self._hop = self._filled = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (the loop passes it)
        """Returns what is still missing of the head or of the body."""
        return (self._head if self._body is None else self._body)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Goes on to the body, or hands it over."""
        self._filled += nbytes
        if self._body is None:
            if self._filled == HEAD.size:
                size, self._hop = HEAD.unpack(self._head)
                self._body, self._filled = np.empty(size, np.uint8).data, 0
        elif self._filled == len(self._body):
            body, self._body, self._filled = self._body, None, 0
            self._received(self, self._hop, body)

    def send(self, hop: int, parts: Sequence[Buffer]) -> None:
        """Writes a frame without joining its parts."""
        self._transport.writelines([HEAD.pack(sum(map(len, parts)), hop), *parts])


async def serve(shape: Shape, address: str, codecs: Mapping[str, Codec]) -> tuple[Any, str]:
    """Listens; returns the server, which must be kept, and the address for the client."""
    by_index = list(codecs.values())

    def received(frames: Frames, hop: int, body: memoryview) -> None:
        frames.send(hop, by_index[hop].answer(body))

    loop = asyncio.get_running_loop()
    if shape.unix:
        return await loop.create_unix_server(lambda: Frames(received), address), address
    server = await loop.create_server(lambda: Frames(received), "127.0.0.1", 0)
    return server, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


class FramesClient:
    """Keeps one connection with all messages in flight; answers come in the order of the messages."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[memoryview]] = deque()
        self._frames = Frames(self._answered)

    def _answered(self, _frames: Frames, _hop: int, body: memoryview) -> None:
        self._waiting.popleft().set_result(body)

    async def connect(self, shape: Shape, address: str) -> None:
        """Connects."""
        loop = asyncio.get_running_loop()
        if shape.unix:
            await loop.create_unix_connection(lambda: self._frames, address)
        else:
            host, port = address.split(":")
            await loop.create_connection(lambda: self._frames, host, int(port))

    async def call(self, hop: int, parts: Sequence[Buffer]) -> memoryview:
        """Sends a message and awaits its answer."""
        answered: asyncio.Future[memoryview] = asyncio.get_running_loop().create_future()
        self._waiting.append(answered)
        self._frames.send(hop, parts)
        return await answered
