"""The caller's side of one link: connects, connects again when it is lost, and carries calls."""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import grpc
import structlog

from servicekit.link.call import STATUS_DETAILS
from servicekit.link.wire import Frames, FrameTooLargeError, UnexpectedFrameError
from servicekit.names import Address
from servicekit.parcel import Piece
from triptych.link.v1.link_pb2 import Begin, Cancel, Head

log = structlog.get_logger()

CONNECT_TIMEOUT_S = 1.0
"""For a connection, and for the first word of the replica."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
"""Between attempts to connect."""
SILENCE_S = 2.0
"""A replica that owes answers and says nothing for so long gets a call only when all are like that."""
_LAST_NUMBER = 2**32 - 1
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Peer:
    """Is one replica of a service."""

    def __init__(self, address: Address, max_message_bytes: int, how: Mapping[str, Any] | None = None) -> None:
        """Begins to connect; `how` are further arguments of the event loop's `create_connection`."""
        loop = asyncio.get_running_loop()
        self.address = address
        self.ready = False
        """Whether the replica wants calls; False while there is no connection."""
        self.tried: asyncio.Future[None] = loop.create_future()
        """Done once the replica has said whether it is ready, cannot be reached, or has had its time to do so."""
        self._max_message_bytes = max_message_bytes
        self._how = how or {}
        self._problem = ""
        self._greeted = False
        """Whether the replica has said a word on this connection; one that refuses this process does not."""
        self._frames: Frames | None = None
        self._lost = asyncio.Event()
        self._called_s = self._began_s = self._heard_s = 0.0
        self._owed = 0
        """Calls that the replica has not answered, also those whose caller has left."""
        self._calls: dict[int, asyncio.Future[memoryview]] = {}
        self._number = 0
        self._task = asyncio.create_task(self._stay_connected())
        loop.call_later(CONNECT_TIMEOUT_S, self._settle)

    @property
    def connected(self) -> bool:
        """Says whether there is a connection."""
        return self._frames is not None

    @property
    def burden(self) -> tuple[bool, int, float]:
        """Returns what makes another replica the better choice, the weightiest first.

        That is: answers owed and not a word for some time, as of a process that hangs; the number of answers owed; the
        moment of the last call, so that idle replicas take turns.
        """
        hangs = bool(self._owed) and time.monotonic() - max(self._heard_s, self._began_s) > SILENCE_S
        return hangs, self._owed, self._called_s

    async def retire(self) -> None:
        """Ends the connection once no call is under way."""
        while self._calls:
            await asyncio.wait(self._calls.values())
            await asyncio.sleep(0)  # for the callers to take their answers
        await self.close()

    async def close(self) -> None:
        """Ends the connection, and every call on it."""
        self._settle()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if self._frames is not None:
            self._frames.abort()
            await self._lost.wait()

    async def call(self, begin: Begin, request: Sequence[Piece]) -> memoryview:
        """Makes a call and returns the payload of its answer.

        Raises:
            AioRpcError: the call failed, or the connection was lost.
        """
        frames, number = self._frames, self._next_number()
        if frames is None:
            raise rpc_error(grpc.StatusCode.UNAVAILABLE, "There is no connection.")
        if frames.behind and self._owed > len(self._calls):  # others have given up waiting
            raise rpc_error(grpc.StatusCode.UNAVAILABLE, "The replica does not take what it is sent.")
        answer = self._calls[number] = asyncio.get_running_loop().create_future()
        try:
            frames.send(Head(call=number, begin=begin), request)
            self._sent()
            payload: memoryview = await answer
            return payload  # noqa: TRY300
        except FrameTooLargeError as error:
            raise rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)) from None
        except asyncio.CancelledError:
            frames.send(Head(call=number, cancel=Cancel()))
            raise
        finally:
            del self._calls[number]

    def opened(self, frames: Frames) -> None:
        """Takes note that there is a connection."""
        self._frames = frames
        self._owed = 0
        self._greeted = False

    def closed(self, problem: str) -> None:
        """Takes note that there is none any more: every call on it has failed."""
        self.ready = False
        self._frames = None
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(rpc_error(grpc.StatusCode.UNAVAILABLE, f"The connection was lost: {problem}"))
        if not self._greeted:
            self._settle()
            self._warn(problem)
        self._lost.set()

    def received(self, head: Head, payload: memoryview | None) -> None:
        """Takes what the replica says.

        Raises:
            UnexpectedFrameError: no service says that.
        """
        self._heard_s = time.monotonic()
        kind = head.WhichOneof("kind")
        if kind == "serving":
            self.ready = head.serving.ready
            self._greeted, self._problem = True, ""
            self._settle()
        elif kind in ("answer", "failure"):
            self._owed = max(0, self._owed - 1)
            answer = self._calls.get(head.call)
            if answer is not None and not answer.done():  # or else its caller has left
                _take(answer, head, payload)
        else:
            raise UnexpectedFrameError(f"no service sends {kind}")

    def _settle(self) -> None:
        if not self.tried.done():
            self.tried.set_result(None)

    def _next_number(self) -> int:
        self._number = self._number % _LAST_NUMBER + 1
        return self._number

    def _sent(self) -> None:
        self._called_s = time.monotonic()
        if not self._owed:
            self._began_s = self._called_s
        self._owed += 1

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        frames = partial(Frames, self._max_message_bytes, self)
        pause_s = FIRST_PAUSE_S
        while True:
            self._lost.clear()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await loop.create_connection(frames, *self.address, **self._how)
            except ssl.SSLError as error:
                self._greeted = False
                self._warn(str(error))
                self._settle()
            except (OSError, UnicodeError) as error:
                self._greeted = False
                log.debug("a link cannot be opened", address=self.address, problem=str(error))
                self._settle()
            else:
                await self._lost.wait()
            pause_s = FIRST_PAUSE_S if self._greeted else min(2 * pause_s, LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    def _warn(self, problem: str) -> None:
        """Says why the replica and this process do not come together, once for each reason."""
        if problem != self._problem:
            log.warning("a link does not come about", address=self.address, problem=problem)
        self._problem = problem


def _take(answer: "asyncio.Future[memoryview]", head: Head, payload: memoryview | None) -> None:
    if payload is None:
        answer.set_exception(rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "The answer is too large."))
    elif head.HasField("answer"):
        answer.set_result(payload)
    else:
        code = _CODES.get(head.failure.code, grpc.StatusCode.UNKNOWN)
        answer.set_exception(rpc_error(code, head.failure.message, payload.tobytes()))


def rpc_error(code: grpc.StatusCode, message: str, details: bytes = b"") -> grpc.aio.AioRpcError:
    """Returns the error that a call over gRPC would have raised."""
    trailing = grpc.aio.Metadata((STATUS_DETAILS, details)) if details else grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=message)
