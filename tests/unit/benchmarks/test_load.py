"""The load generator: what servers say, and do, about the end of a connection."""

import socket
import struct
import threading

import numpy as np
import pytest

from benchmarks.load.engine import Engine
from benchmarks.load.exchange import WireError, Workload
from benchmarks.load.grpc import Grpc, frame
from benchmarks.load.http1 import Http1

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


class _OneAnswerEach:
    """Serves HTTP: it answers one request on each connection, and closes it."""

    def __init__(self, head: bytes) -> None:
        self._answer = b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: 1\r\n\r\n7"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if connection.recv(1024):
                    connection.sendall(self._answer)


@pytest.mark.parametrize("head", [b"", b"Connection: close\r\n"], ids=["silently", "announced"])
def test_a_connection_that_ends_while_idle_is_renewed(head: bytes) -> None:
    """A server that closes after an answer costs no request, and none is sent twice."""
    server = _OneAnswerEach(head)
    workload = Workload(server.address, lambda: Http1([b"GET / HTTP/1.1\r\n\r\n"]), int, (7,))
    engine = Engine(workload, 1, {})
    outcome = engine.open(np.array([0.0, 0.2, 0.4, 0.6]), 0.0)
    engine.close()

    assert ([], 3) == (outcome.failures, len(outcome.latencies_s))
