"""Frames on a connection, in and out: a length, a head, a payload."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import Protocol, cast

import structlog
from google.protobuf.message import DecodeError

from servicekit.parcel import Piece
from triptych.link.v1.link_pb2 import Head

log = structlog.get_logger()

MAX_HEAD_BYTES = 16_384
_LENGTHS = struct.Struct(">IH")
_LENGTH_BYTES, _HEAD_LENGTH_BYTES = 4, 2
_SCRATCH_BYTES = 65_536
_LONGEST_FRAME = 2**28
"""What claims to be longer is no frame, unless the limit says so: text and the greetings of TLS and HTTP/2 do."""

SOCKET_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 13_000),
)
"""A machine that vanished is noticed within 13 s; so is a process that takes nothing of what it is sent for so long."""


class FrameTooLargeError(ValueError):
    """Says that a frame is larger than the other side takes."""


class UnexpectedFrameError(ValueError):
    """Says that the other side sent a frame that it had no right to send."""


class Listener(Protocol):
    """Hears of what happens on a connection."""

    def opened(self, frames: "Frames") -> None:
        """Is called first."""

    def received(self, head: Head, payload: memoryview | None) -> None:
        """Takes a frame; the payload of one above the limit was thrown away, and is None.

        Raises:
            UnexpectedFrameError: the other side had no right to send it; the connection ends.
        """

    def closed(self, problem: str) -> None:
        """Is called last, with the reason."""


class Frames(asyncio.BufferedProtocol):
    """Is one end of a connection.

    Small frames are cut out of what came; the rest of a large one is read straight to where it stays.
    """

    def __init__(self, max_bytes: int, listener: Listener, *, waits: bool = False) -> None:
        """Prepares for a connection.

        Args:
            max_bytes: limit of a payload, in and out.
            listener: hears of what comes.
            waits: whether to read nothing while the other end does not read. Of two ends one at most may do so.
        """
        self.behind = False
        """Whether more waits to leave than the largest message."""
        self._max_bytes = max_bytes
        self._waits = waits
        self._longest = max_bytes + _HEAD_LENGTH_BYTES + MAX_HEAD_BYTES
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._problem = ""
        self._scratch = memoryview(bytearray(_SCRATCH_BYTES))
        self._filled = 0
        self._frame: memoryview | None = None
        self._frame_filled = 0
        self._excess = 0
        """Bytes to be thrown away, of a frame above the limit."""

    @property
    def _over(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def send(self, head: Head, payload: Sequence[Piece] = ()) -> None:
        """Sends a frame; on a connection that is over it does nothing.

        Raises:
            FrameTooLargeError: the payload or the head is above the limit; nothing was sent.
        """
        size = sum(map(len, payload))
        if size > self._max_bytes:
            raise FrameTooLargeError(f"A message has {size} bytes; {self._max_bytes} is the limit.")
        encoded = head.SerializeToString()
        if len(encoded) > MAX_HEAD_BYTES:
            raise FrameTooLargeError(
                f"What goes with a message has {len(encoded)} bytes; {MAX_HEAD_BYTES} is the limit."
            )
        if self._transport is not None and not self._over:
            lengths = _LENGTHS.pack(_HEAD_LENGTH_BYTES + len(encoded) + size, len(encoded))
            self._transport.writelines((lengths + encoded, *payload))

    def close(self) -> None:
        """Ends the connection, after what was sent has left."""
        if self._transport is not None:
            self._transport.close()

    def abort(self, problem: str = "") -> None:
        """Ends the connection at once; `problem` is what the other end did wrong."""
        if problem:
            log.warning("a link is cut", problem=problem)
            self._problem = problem
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop does not inherit it
        connection = transport.get_extra_info("socket")
        for option in SOCKET_OPTIONS:
            connection.setsockopt(*option)
        self._transport.set_write_buffer_limits(high=self._max_bytes)
        self._listener.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._transport = self._frame = None
        self._listener.closed(self._problem or str(exc or "the connection was closed"))

    def pause_writing(self) -> None:
        """Takes note that the other end does not take what it is sent."""
        self.behind = True
        if self._transport is not None and self._waits:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Takes note that it does again."""
        self.behind = False
        if self._transport is not None and self._waits and not self._over:
            self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (asyncio's name)
        """Returns where the next bytes go."""
        if self._frame is not None:
            return self._frame[self._frame_filled :]
        return self._scratch[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Takes note of bytes that came."""
        if self._frame is None:
            self._filled += nbytes
            self._split()
            return
        self._frame_filled += nbytes
        if self._frame_filled == len(self._frame):
            frame, self._frame = self._frame, None
            self._deliver(frame)

    def _split(self) -> None:
        """Delivers each complete frame, and makes room for the rest of one that is not."""
        at = self._pass_over(0)
        while self._filled - at >= _LENGTH_BYTES and not self._over:
            length = int.from_bytes(self._scratch[at : at + _LENGTH_BYTES], "big")
            if length > max(self._longest, _LONGEST_FRAME):
                self.abort(f"{length} bytes are no frame")
                return
            frame = self._make_room(length)
            start, at = at + _LENGTH_BYTES, at + _LENGTH_BYTES + len(frame)
            if at > self._filled:
                self._frame, self._frame_filled = frame, self._filled - start
                frame[: self._frame_filled] = self._scratch[start : self._filled]
                self._filled = 0
                return
            frame[:] = self._scratch[start:at]
            self._deliver(frame)
            at = self._pass_over(at)
        self._scratch[: self._filled - at] = self._scratch[at : self._filled]
        self._filled -= at

    def _make_room(self, length: int) -> memoryview:
        """Returns memory for a frame; for one above the limit only as much as its head may need."""
        import numpy as np  # noqa: PLC0415 (a process without links does without it)

        kept = length if length <= self._longest else _HEAD_LENGTH_BYTES + MAX_HEAD_BYTES
        self._excess = length - kept
        return np.empty(kept, np.uint8).data  # not zeroed first

    def _pass_over(self, at: int) -> int:
        """Returns where the next frame begins, behind the excess of the one before."""
        passed = min(self._excess, self._filled - at)
        self._excess -= passed
        return at + passed

    def _deliver(self, frame: memoryview) -> None:
        try:
            head, payload = _parse(frame)
            too_large = self._excess or len(payload) > self._max_bytes
            self._listener.received(head, None if too_large else payload)
        except UnexpectedFrameError as error:
            self.abort(str(error))


def _parse(frame: memoryview) -> tuple[Head, memoryview]:
    """Returns head and payload.

    Raises:
        UnexpectedFrameError: there is no head.
    """
    start = _HEAD_LENGTH_BYTES + int.from_bytes(frame[:_HEAD_LENGTH_BYTES], "big")
    if start > min(len(frame), _HEAD_LENGTH_BYTES + MAX_HEAD_BYTES):
        raise UnexpectedFrameError("a head that is too long")
    try:
        return Head.FromString(frame[_HEAD_LENGTH_BYTES:start].tobytes()), frame[start:]
    except DecodeError:
        raise UnexpectedFrameError("a frame without a head") from None
