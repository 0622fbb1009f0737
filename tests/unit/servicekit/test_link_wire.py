"""Frames: whatever pieces they come in, they arrive whole; what is no frame ends the connection."""

import asyncio
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from fakes.links import frame
from hypothesis import example, given
from hypothesis import strategies as st

from servicekit.link.wire import MAX_HEAD_BYTES, Frames, FrameTooLargeError, UnexpectedFrameError
from triptych.link.v1.link_pb2 import Answer, Begin, Head

LIMIT = 100_000
SCRATCH = 65_536

Sent = tuple[int, bytes]
"""A frame's number and payload."""
Heard = tuple[int, bytes | None]


class _Socket:
    def setsockopt(self, *_: int) -> None:
        """Takes any option."""


class Wire(asyncio.Transport):
    """Is a connection whose other end is the test."""

    def __init__(self) -> None:
        super().__init__({"socket": _Socket()})
        self.sent = b""
        self.over = False

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Keeps what is sent."""
        self.sent += b"".join(list_of_data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Keeps whatever is sent."""

    def is_closing(self) -> bool:
        """Says whether this end has closed."""
        return self.over

    def close(self) -> None:
        """Closes."""
        self.over = True

    def abort(self) -> None:
        """Closes."""
        self.over = True


class Ear:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Head, memoryview | None]] = []
        self.problem = ""

    def opened(self, frames: Frames) -> None:
        """Is of no interest."""

    def received(self, head: Head, payload: memoryview | None) -> None:
        """Takes any frame but a cancellation."""
        if head.HasField("cancel"):
            raise UnexpectedFrameError("no cancellation was asked for")
        self.heard.append((head, payload))

    def closed(self, problem: str) -> None:
        """Takes note of the reason."""
        self.problem = problem

    @property
    def frames(self) -> list[Heard]:
        """Returns what was heard."""
        return [(head.call, None if payload is None else payload.tobytes()) for head, payload in self.heard]


def _connected(limit: int = LIMIT) -> tuple[Frames, Ear, Wire]:
    ear, wire = Ear(), Wire()
    frames = Frames(limit, ear)
    frames.connection_made(wire)
    return frames, ear, wire


def _feed(frames: Frames, wire: Wire, *reads: bytes) -> None:
    """Reads as an event loop does: into the memory it is given, as much as goes in, and nothing once it is over."""
    for read in reads:
        data = read
        while data and not wire.over:
            buffer = frames.get_buffer(-1)
            assert len(buffer)
            count = min(len(data), len(buffer))
            buffer[:count] = data[:count]
            frames.buffer_updated(count)
            data = data[count:]


def _heard(*reads: bytes) -> list[Heard]:
    frames, ear, wire = _connected()
    _feed(frames, wire, *reads)
    return ear.frames


def _encoded(sent: Iterable[Sent]) -> bytes:
    return b"".join(frame(Head(call=number, answer=Answer()), payload) for number, payload in sent)


def _expected(sent: Iterable[Sent]) -> list[Heard]:
    return [(number, payload if len(payload) <= LIMIT else None) for number, payload in sent]


def _pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def test_what_is_sent_is_what_the_contract_says() -> None:
    """A frame is the length, the head's length, the head, the payload; its pieces are joined."""
    frames, _, wire = _connected()
    head = Head(call=7, begin=Begin(method="/a/B"))
    frames.send(head, [b"ab", memoryview(b"cd")])

    assert frame(head, b"abcd") == wire.sent


def test_a_frame_may_be_cut_anywhere() -> None:
    """Wherever a read ends, also inside the lengths, the frames before and after the cut arrive whole."""
    sent = [(1, b"first"), (2, b""), (3, b"third")]
    data = _encoded(sent)
    cuts = range(1, len(data))

    assert [sent] * len(cuts) == [_heard(data[:cut], data[cut:]) for cut in cuts]


def test_frames_may_come_byte_by_byte() -> None:
    """The smallest reads deliver the same."""
    sent = [(1, b"first"), (2, b"second")]
    data = _encoded(sent)

    assert sent == _heard(*(data[at : at + 1] for at in range(len(data))))


def test_many_frames_may_come_at_once() -> None:
    """One read delivers all its frames, in order."""
    sent = [(number, b"x" * number) for number in range(200)]

    assert sent == _heard(_encoded(sent))


@pytest.mark.parametrize("size", [SCRATCH - 20, SCRATCH - 12, SCRATCH, SCRATCH + 1, LIMIT])
def test_a_large_frame_arrives(size: int) -> None:
    """Frames about as large as a read, and larger, arrive whole between small ones."""
    sent = [(1, b"before"), (2, bytes(size)), (3, b"behind")]

    assert sent == _heard(_encoded(sent))


payloads = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda size, byte: bytes([byte]) * size,
        st.sampled_from([SCRATCH - 9, SCRATCH, LIMIT - 1, LIMIT, LIMIT + MAX_HEAD_BYTES, LIMIT + SCRATCH, 3 * LIMIT]),
        st.integers(0, 255),
    ),
)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), payloads), max_size=5), st.data())
def test_any_split_of_any_frames_delivers_the_same(sent: list[Sent], draw: st.DataObject) -> None:
    """Each payload arrives as it was sent, or not at all if it is above the limit, however the bytes were cut."""
    data = _encoded(sent)
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=8))

    assert _expected(sent) == _heard(*_pieces(data, cuts))


def test_a_frame_above_the_limit_takes_no_memory() -> None:
    """Of what only claims to be large no more is kept than its head may need."""
    frames, _, wire = _connected()
    _feed(frames, wire, struct.pack(">IH", 2**27, 10))

    assert 2 * MAX_HEAD_BYTES > len(frames.get_buffer(-1))


GARBAGE = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: preprocess\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a huge length": b"\xff\xff\xff\xff\x00\x00",
    "an empty frame": struct.pack(">I", 0),
    "half a length of the head": struct.pack(">IB", 1, 0),
    "a head longer than its frame": struct.pack(">IH", 3, 2) + b"\x08",
    "a head above the limit": struct.pack(">IH", MAX_HEAD_BYTES + 3, MAX_HEAD_BYTES + 1) + bytes(MAX_HEAD_BYTES + 1),
    "a head that ends early": struct.pack(">IH", 3, 1) + b"\x08",
    "a head that is none": struct.pack(">IH", 5, 3) + b"\xff\xff\xff",
    "what the other end may not send": frame(Head(call=1, cancel={})),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_ends_the_connection(garbage: bytes) -> None:
    """What is no frame is noticed at once; what came before was delivered, and nothing behind it is."""
    frames, ear, wire = _connected()
    _feed(frames, wire, _encoded([(1, b"before")]) + garbage + _encoded([(2, b"behind")]) * 9000)
    frames.connection_lost(None)

    assert ([(1, b"before")], True) == (ear.frames, wire.over)
    assert "the connection was closed" != ear.problem


@given(st.lists(st.binary(max_size=50), max_size=5))
@example([b"\x00\x00\x00\x02\x00\x00"])
def test_whatever_comes_nothing_is_raised(reads: Sequence[bytes]) -> None:
    """Any bytes are frames, or the beginning of one, or end the connection."""
    frames, _, wire = _connected()

    _feed(frames, wire, *reads)


def test_a_payload_has_a_limit() -> None:
    """The limit itself leaves; a byte more is refused, and nothing of it is sent."""
    frames, _, wire = _connected(limit=10)
    head = Head(call=1, answer=Answer())
    frames.send(head, [bytes(5), bytes(5)])
    with pytest.raises(FrameTooLargeError, match="11 bytes; 10"):
        frames.send(head, [bytes(6), bytes(5)])

    assert frame(head, bytes(10)) == wire.sent


def test_a_head_has_a_limit() -> None:
    """A head that the other end would take for garbage is refused."""
    frames, _, wire = _connected()
    with pytest.raises(FrameTooLargeError, match=str(MAX_HEAD_BYTES)):
        frames.send(Head(call=1, begin=Begin(method="x" * MAX_HEAD_BYTES)))

    assert b"" == wire.sent


def test_nothing_is_sent_when_it_is_over() -> None:
    """Whoever answers a caller that has left need not know."""
    frames, _, wire = _connected()
    frames.close()
    frames.send(Head(call=1, answer=Answer()), [b"late"])
    frames.connection_lost(None)
    frames.send(Head(call=2, answer=Answer()), [b"later"])

    assert b"" == wire.sent
