"""Frames on a connection, in and out: a length, a head, a payload."""

import asyncio
import struct
from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
from google.protobuf.message import DecodeError

from servicekit.parcel import Piece
from triptych.link.v1.link_pb2 import Head

_LENGTHS = struct.Struct(">IH")
_LENGTH_BYTES, _HEAD_LENGTH_BYTES = 4, 2
_SCRATCH_BYTES = 65_536
MAX_HEAD_BYTES = 16_384


class FrameTooLargeError(ValueError):
    """Says that a frame is larger than the other side takes."""


class Listener(Protocol):
    """Hears of what happens on a connection."""

    def opened(self) -> None:
        """Is called first."""

    def received(self, head: Head, payload: memoryview) -> None:
        """Takes a frame."""

    def closed(self, problem: str) -> None:
        """Is called last, with the reason."""


class Frames(asyncio.BufferedProtocol):
    """Is one end of a connection.

    Small frames are cut out of what came; the rest of a large one is read straight to where it stays.
    """

    def __init__(self, max_bytes: int, listener: Listener) -> None:
        """Says how many bytes a payload may have, in and out, and who hears of what comes."""
        self._max_bytes = max_bytes
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._problem = ""
        self._scratch = memoryview(bytearray(_SCRATCH_BYTES))
        self._filled = 0
        self._frame: memoryview | None = None
        self._frame_filled = 0

    def send(self, head: Head, payload: Sequence[Piece] = ()) -> None:
        """Sends a frame; on a connection that is over it does nothing.

        Raises:
            FrameTooLargeError: the payload is above the limit; nothing was sent.
        """
        size = sum(map(len, payload))
        if size > self._max_bytes:
            raise FrameTooLargeError(f"A message has {size} bytes; {self._max_bytes} is the limit.")
        if self._transport is not None and not self._transport.is_closing():
            encoded = head.SerializeToString()
            lengths = _LENGTHS.pack(_HEAD_LENGTH_BYTES + len(encoded) + size, len(encoded))
            self._transport.writelines((lengths + encoded, *payload))

    def close(self, problem: str = "") -> None:
        """Ends the connection, after what was sent has left; `problem` is what the other end did wrong."""
        self._problem = self._problem or problem
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop does not inherit it
        self._listener.opened()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._transport = None
        self._listener.closed(self._problem or str(exc or "the connection was closed"))

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
        at = 0
        while self._filled - at >= _LENGTH_BYTES:
            length = int.from_bytes(self._scratch[at : at + _LENGTH_BYTES], "big")
            if length > self._max_bytes + _HEAD_LENGTH_BYTES + MAX_HEAD_BYTES:
                self.close(f"a frame of {length} bytes")
                return
            start, at = at + _LENGTH_BYTES, at + _LENGTH_BYTES + length
            frame = np.empty(length, np.uint8).data  # not zeroed first
            if at > self._filled:
                self._frame, self._frame_filled = frame, self._filled - start
                frame[: self._frame_filled] = self._scratch[start : self._filled]
                self._filled = 0
                return
            frame[:] = self._scratch[start:at]
            self._deliver(frame)
        self._scratch[: self._filled - at] = self._scratch[at : self._filled]
        self._filled -= at

    def _deliver(self, frame: memoryview) -> None:
        start = _HEAD_LENGTH_BYTES + int.from_bytes(frame[:_HEAD_LENGTH_BYTES], "big")
        try:
            head = Head.FromString(frame[_HEAD_LENGTH_BYTES:start].tobytes())
        except DecodeError:
            self.close("a frame without a head")
            return
        self._listener.received(head, frame[start:])
