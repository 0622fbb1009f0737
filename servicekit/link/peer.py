"""The caller's side of one link: connects, connects again when it is lost, and carries calls."""

import asyncio
import itertools
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

import grpc
import structlog

from servicekit.link.call import STATUS_DETAILS
from servicekit.link.wire import Frames, FrameTooLargeError
from servicekit.parcel import Piece
from triptych.link.v1.link_pb2 import Begin, Cancel, Head

log = structlog.get_logger()

Address = tuple[str, int]

CONNECT_TIMEOUT_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
"""Between attempts to connect."""
SILENCE_S = 2.0
"""A replica that has calls to answer and says nothing for so long gets a call only when all are like that."""
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3))


class Peer:
    """Is one replica of a service."""

    def __init__(self, address: Address, max_message_bytes: int) -> None:
        self.address = address
        self.ready = False
        """Whether the replica wants calls; False while there is no connection."""
        self.connected = False
        self.tried = asyncio.Event()
        """Set once the replica has said whether it is ready, or could not be reached."""
        self._max_message_bytes = max_message_bytes
        self._frames: Frames | None = None
        self._lost = asyncio.Event()
        self._heard_s = 0.0
        self._called_s = self._began_s = 0.0
        self._calls: dict[int, asyncio.Future[memoryview]] = {}
        self._numbers = itertools.cycle(range(1, 2**32))
        self._task = asyncio.create_task(self._stay_connected())

    @property
    def burden(self) -> tuple[bool, int, float]:
        """Returns what makes another replica the better choice, the weightiest first.

        That is: calls under way and not a word for some time, as of a process that hangs; the number of calls under
        way; the moment of the last one, so that idle replicas take turns.
        """
        hangs = bool(self._calls) and time.monotonic() - max(self._heard_s, self._began_s) > SILENCE_S
        return hangs, len(self._calls), self._called_s

    async def retire(self) -> None:
        """Ends the connection once no call is under way."""
        while self._calls:
            await asyncio.wait(self._calls.values())
            await asyncio.sleep(0)  # for the callers to take their answers
        await self.close()

    async def close(self) -> None:
        """Ends the connection, and every call on it."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if self._frames is not None:
            self._frames.close()

    async def call(self, begin: Begin, request: Sequence[Piece]) -> memoryview:
        """Makes a call and returns the payload of its answer.

        Raises:
            AioRpcError: the call failed, or the connection was lost.
        """
        if self._frames is None:
            raise rpc_error(grpc.StatusCode.UNAVAILABLE, "There is no connection.")
        frames, number = self._frames, next(self._numbers)
        self._called_s = time.monotonic()
        if not self._calls:
            self._began_s = self._called_s
        answer = self._calls[number] = asyncio.get_running_loop().create_future()
        try:
            frames.send(Head(call=number, begin=begin), request)
            payload: memoryview = await answer
            return payload  # noqa: TRY300
        except FrameTooLargeError as error:
            raise rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)) from None
        except asyncio.CancelledError:
            frames.send(Head(call=number, cancel=Cancel()))
            raise
        finally:
            self._calls.pop(number, None)

    def opened(self) -> None:
        """Takes note that there is a connection."""
        self.connected = True

    def closed(self, problem: str) -> None:
        """Takes note that there is none any more: every call on it has failed."""
        self.connected = self.ready = False
        self._frames = None
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(rpc_error(grpc.StatusCode.UNAVAILABLE, f"The connection was lost: {problem}"))
        self._lost.set()

    def received(self, head: Head, payload: memoryview) -> None:
        """Takes what the replica says."""
        self._heard_s = time.monotonic()
        kind = head.WhichOneof("kind")
        answer = self._calls.get(head.call)
        if kind == "serving":
            self.ready = head.serving.ready
            self.tried.set()
        elif answer is None or answer.done():
            pass  # its caller has left meanwhile
        elif kind == "answer":
            answer.set_result(payload)
        elif kind == "failure":
            code = _CODES.get(head.failure.code, grpc.StatusCode.UNKNOWN)
            answer.set_exception(rpc_error(code, head.failure.message, payload.tobytes()))

    async def _stay_connected(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            self._lost.clear()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    _, self._frames = await self._connect()
            except (OSError, TimeoutError) as error:
                log.debug("a link cannot be opened", address=self.address, problem=str(error))
                self.tried.set()
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                pause_s = FIRST_PAUSE_S
                await self._lost.wait()
            await asyncio.sleep(pause_s)

    async def _connect(self) -> tuple[asyncio.BaseTransport, Frames]:
        loop = asyncio.get_running_loop()
        transport, frames = await loop.create_connection(lambda: Frames(self._max_message_bytes, self), *self.address)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        return transport, frames


def rpc_error(code: grpc.StatusCode, message: str, details: bytes = b"") -> grpc.aio.AioRpcError:
    """Returns the error that a call over gRPC would have raised."""
    trailing = grpc.aio.Metadata((STATUS_DETAILS, details)) if details else grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=message)
