"""uvicorn's HTTP/1.1 protocol with the limits that it lacks: of connections, headers, and time to send them.

httptools stays, rather than h11, which would bound headers by itself: it parses a request several times as fast.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.http.errors import error_body
from gateway.metrics import SHED_CONNECTIONS, count_http
from servicekit import context
from servicekit.errors import InvalidArgument, Reason, ResourceExhausted, TriptychError

MAX_HEADERS = 100
MAX_HEAD_BYTES = 64 * 1024

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds what connections may cost before a request is known."""

    max_connections: int
    head_timeout_s: float
    """Longest time from a connection, or from the first byte of a further request, to the end of its headers."""


class _HeadTooLargeError(Exception):
    pass


class BoundedProtocol(HttpToolsProtocol):
    """Refuses what exceeds its bounds, in the shape of every error, and closes the connection."""

    bounds: ClassVar[Bounds]

    _head_bytes = 0
    _unparsed_bytes = 0
    _in_head = False
    _head_too_large = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Takes the connection, or turns it away when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.max_connections:
            SHED_CONNECTIONS.inc()
            message = f"There are {self.bounds.max_connections} connections already."
            self._refuse(503, ResourceExhausted(message, retry_after_s=1.0))
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; bytes that belong to an unfinished head count against its size."""
        if self.transport.is_closing():
            return
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:
            self._unparsed_bytes += len(data)  # a single header that does not end is not told by the parser
            if self._unparsed_bytes > MAX_HEAD_BYTES:
                self._refuse_head()
        if not self._at_work() and self.timeout_keep_alive_task is None:
            self._wait_for_head()  # bytes that lead nowhere keep no connection open

    def on_message_begin(self) -> None:
        """Begins a head."""
        super().on_message_begin()
        self._head_bytes = self._unparsed_bytes = 0
        self._in_head = True
        self._wait_for_head()

    def on_url(self, url: bytes) -> None:
        """Takes a part of the path."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes one header."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Ends the head."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what the parser refused."""
        if self._head_too_large:
            self._refuse_head()
        else:
            self._refuse(400, InvalidArgument(msg, reason=Reason.REQUEST_MALFORMED))

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if len(self.headers) > MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            self._head_too_large = True
            raise _HeadTooLargeError  # ends the parser's work; uvicorn then asks for the answer to bad requests

    @property
    def asked(self) -> bool:
        """Says whether the client has sent the head of a request, ever."""
        cycle: Any = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is not None

    def _at_work(self) -> bool:
        return self.asked and not self.cycle.response_complete

    def _wait_for_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.bounds.head_timeout_s, self._late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self._in_head:
            text = f"The headers did not arrive within {self.bounds.head_timeout_s:g} s."
            self._refuse(408, InvalidArgument(text, reason=Reason.REQUEST_MALFORMED))
        else:
            self.transport.close()

    def _refuse_head(self) -> None:
        text = f"A request may have at most {MAX_HEADERS} headers, and {MAX_HEAD_BYTES // 1024} KiB before its body."
        self._refuse(431, InvalidArgument(text, reason=Reason.REQUEST_TOO_LARGE))

    def _refuse(self, status: int, error: TriptychError) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        count_http(None, status)
        asked = context.accept(None, None)
        body = json.dumps(error_body(error, asked.request_id, status)).encode()
        head = [
            STATUS_LINE[status],
            b"content-type: application/json\r\nconnection: close\r\n",
            b"x-request-id: %s\r\ncontent-length: %d\r\n" % (asked.request_id.encode(), len(body)),
            b"retry-after: 1\r\n" if error.retry_after_s else b"",
        ]
        self.transport.write(b"".join([*head, b"\r\n", body]))
        self.transport.close()
        log.info("http refused", status=status, reason=error.reason.value, request_id=asked.request_id)


def bounded(bounds: Bounds) -> type[BoundedProtocol]:
    """Returns the protocol with these bounds."""
    return type("HttpProtocol", (BoundedProtocol,), {"bounds": bounds})
