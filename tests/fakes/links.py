"""Ends of links that are told byte by byte what to say, to test how the other end takes it."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fakes.certificates import USUAL

from triptych.link.v1.link_pb2 import Begin, Head, Serving

READY = Head(serving=Serving(ready=True))


def frame(head: Head, payload: bytes = b"") -> bytes:
    """Returns a frame as protos/triptych/link describes it."""
    encoded = head.SerializeToString()
    return struct.pack(">IH", 2 + len(encoded) + len(payload), len(encoded)) + encoded + payload


def begin(number: int, method: str, payload: bytes = b"", **values: object) -> bytes:
    """Returns the frame that begins a call."""
    return frame(Head(call=number, begin=Begin(method=method, **{"time_left_ms": 5000, **values})), payload)  # type: ignore[arg-type] # fields of Begin


class End:
    """Is this end of a link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def say(self, *frames: bytes) -> None:
        """Sends bytes."""
        self._writer.write(b"".join(frames))

    async def hear(self) -> tuple[Head, bytes]:
        """Returns the next frame.

        Raises:
            IncompleteReadError: the other end has closed.
            TimeoutError: it says nothing for a long time.
        """
        async with asyncio.timeout(20):
            length, size = struct.unpack(">IH", await self._reader.readexactly(6))
            rest = await self._reader.readexactly(length - 2)
        return Head.FromString(rest[:size]), rest[size:]

    async def hear_of(self, kind: str) -> tuple[Head, bytes]:
        """Returns the next frame of a kind; what comes before is left."""
        while True:
            head, payload = await self.hear()
            if head.WhichOneof("kind") == kind:
                return head, payload

    async def ended(self) -> bool:
        """Waits until the other end has closed, whatever it says before."""
        try:
            while await self._reader.read(2**16):
                pass
        except ConnectionError:
            return True
        return True

    def close(self) -> None:
        """Closes."""
        self._writer.close()


@asynccontextmanager
async def raw_caller(port: int) -> AsyncIterator[End]:
    """Connects to a service."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, **({} if USUAL.tls is None else USUAL.tls.connecting("127.0.0.1"))
    )
    try:
        yield End(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def raw_service(talk: Callable[[End], Awaitable[None]]) -> AsyncIterator[int]:
    """Serves links: runs `talk` with each caller, and yields the port."""
    talks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())
        try:
            await talk(End(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, asyncio.CancelledError):
            pass  # the caller has left, or the test
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **({} if USUAL.tls is None else USUAL.tls.listening()))
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for each in filter(None, talks):
            each.cancel()
        await asyncio.sleep(0)
