"""The load generator's HTTP/2: what servers say about the end of a connection."""

import struct

import pytest

from benchmarks.load.exchange import WireError
from benchmarks.load.grpc import Grpc, frame

HEADERS, GOAWAY, DATA = 1, 7, 0
END_STREAM = 0x1


def _goaway(last_stream: int, code: int = 0) -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last_stream, code))


@pytest.fixture
def exchange() -> Grpc:
    """A connection with a request on it."""
    exchange = Grpc("/package.Service/Method", [b"question"])
    exchange.request(0)
    return exchange


def test_a_gentle_end_lets_the_answer_come(exchange: Grpc) -> None:
    """A server that renews its connections answers what is on them first; the next request takes a new one."""
    assert (b"", None) == exchange.receive(_goaway(2**31 - 1))
    message = struct.pack(">BI", 0, 6) + b"answer"
    _, answer = exchange.receive(frame(DATA, 0, 1, message) + frame(HEADERS, END_STREAM, 1, b""))

    assert answer is not None
    assert (True, b"answer", True) == (answer.ok, answer.body, exchange.leaving)


@pytest.mark.parametrize(("last_stream", "code"), [(0, 0), (2**31 - 1, 11)], ids=["not taken", "an error"])
def test_a_hard_end_is_told(exchange: Grpc, last_stream: int, code: int) -> None:
    """A request that the server did not take, or ends with an error, has no answer."""
    with pytest.raises(WireError, match="closes the connection"):
        exchange.receive(_goaway(last_stream, code))
