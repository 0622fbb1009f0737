"""Unary gRPC over HTTP/2 (RFC 9113), one stream at a time, no TLS: just what a load generator needs.

Header blocks are literals, and the server is told to index none, so that no HPACK state has to be kept: a successful
answer is known by its message, a failure by having none.
"""

import struct
from collections.abc import Sequence

from benchmarks.load.exchange import Answer, WireError

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_HEADER_TABLE_SIZE, _INITIAL_WINDOW_SIZE = 1, 4
_WINDOW = 2**30
_MAX_FRAME = 16_384


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Returns one HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """Returns a header field without indexing and without Huffman coding; both are shorter than 127 bytes."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Grpc:
    """Is one connection."""

    def __init__(self, path: str, messages: Sequence[bytes]) -> None:
        """Prepares the requests.

        Args:
            path: `/package.Service/Method`.
            messages: serialized, one per picture.
        """
        self._headers = b"\x83\x86" + b"".join(  # :method POST, :scheme http
            _literal(name, value)
            for name, value in (
                (b":path", path.encode()),
                (b":authority", b"127.0.0.1"),
                (b"content-type", b"application/grpc"),
                (b"te", b"trailers"),
                (b"grpc-timeout", b"10S"),
            )
        )
        self._bodies = [struct.pack(">BI", 0, len(message)) + message for message in messages]
        self.leaving = False
        self._stream = -1
        self._window = 65_535
        self._initial_window = 65_535
        self._stream_window = 0
        self._unsent = b""
        self._buffer = b""
        self._message = b""

    def hello(self) -> bytes:
        """Returns the preface, our settings, and a window that never fills."""
        settings = struct.pack(">HIHI", _HEADER_TABLE_SIZE, 0, _INITIAL_WINDOW_SIZE, _WINDOW)
        update = struct.pack(">I", _WINDOW)
        return _PREFACE + frame(_SETTINGS, 0, 0, settings) + frame(_WINDOW_UPDATE, 0, 0, update)

    def request(self, index: int) -> bytes:
        """Begins a stream."""
        self._stream += 2
        self._message = b""
        self._stream_window = self._initial_window
        self._unsent = self._bodies[index]
        return frame(_HEADERS, _END_HEADERS, self._stream, self._headers) + self._data()

    def _data(self) -> bytes:
        """Returns as much of the body as the server's windows allow."""
        room = min(self._window, self._stream_window, len(self._unsent))
        if room <= 0:
            return b""
        self._window -= room
        self._stream_window -= room
        body, self._unsent = self._unsent[:room], self._unsent[room:]
        frames = []
        for start in range(0, room, _MAX_FRAME):
            piece = body[start : start + _MAX_FRAME]
            last = not self._unsent and start + _MAX_FRAME >= room
            frames.append(frame(_DATA, _END_STREAM if last else 0, self._stream, piece))
        return b"".join(frames)

    def receive(self, data: bytes) -> tuple[bytes, Answer | None]:
        """Takes in frames.

        Raises:
            WireError: the server ends the connection.
        """
        buffer = self._buffer + data
        at, reply, answer = 0, b"", None
        while len(buffer) - at >= 9:
            length = int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) - at < 9 + length:
                break
            kind, flags, stream = struct.unpack_from(">BBI", buffer, at + 3)
            payload = buffer[at + 9 : at + 9 + length]
            at += 9 + length
            said, ended = self._take(kind, flags, stream & 0x7FFFFFFF, payload)
            reply += said
            answer = ended or answer
        self._buffer = buffer[at:]
        return reply + self._data(), answer

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> tuple[bytes, Answer | None]:
        if kind == _GOAWAY:
            last, code = struct.unpack_from(">II", payload)
            if code or self._stream > last:
                raise WireError(f"the server closes the connection: {payload[8:]!r}")
            self.leaving = True
            return b"", None
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            if kind == _SETTINGS:
                self._learn(payload)
            return frame(kind, _ACK, 0, payload if kind == _PING else b""), None
        if kind == _WINDOW_UPDATE:
            (more,) = struct.unpack(">I", payload)
            if stream == 0:
                self._window += more
            elif stream == self._stream:
                self._stream_window += more
        elif stream == self._stream and kind in (_DATA, _HEADERS, _RST):
            return b"", self._stream_frame(kind, flags, payload)
        return b"", None

    def _learn(self, settings: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", settings):
            if name == _INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._initial_window
                self._initial_window = value

    def _stream_frame(self, kind: int, flags: int, payload: bytes) -> Answer | None:
        if kind == _DATA:
            self._message += payload
        if kind != _RST and not flags & _END_STREAM:
            return None
        self._unsent = b""
        ok = kind == _HEADERS and len(self._message) >= 5
        return Answer(ok, self._message[5:] if ok else payload)
