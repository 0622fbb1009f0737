"""Around every HTTP request, in plain ASGI: ids in and out, limits of its body, one log line, a gentle end."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.http.errors import REASON, error_response
from gateway.http.spans import end_span, span_name
from gateway.metrics import SHED_BODIES, count_http
from gateway.requests import readable
from servicekit import context
from servicekit.errors import InvalidArgument, Reason, ResourceExhausted
from servicekit.tracing import Tracer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

log = structlog.get_logger()

QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are asked for so often that a log line for each would hide the rest."""


@dataclass(slots=True)
class _Answer:
    status: int = 500
    size: int = 0
    began: float = field(default_factory=time.perf_counter)


class RequestFrame:
    """Frames every request: enters its context, limits its body, logs its end."""

    def __init__(
        self,
        app: App,
        max_body_bytes: int,
        max_bytes_in_flight: int,
        tracer: Tracer | None = None,
        *,
        log_every: bool,
    ) -> None:
        """Takes the limits of one body and of all bodies that are held at the same time, and what begins traces."""
        self._tracer = tracer
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_bytes_in_flight = max_bytes_in_flight
        self._bytes_in_flight = 0
        self._log_every = log_every
        self.draining = False
        """When set, every answer asks its client to open a new connection next time."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handles one request; other kinds of scope pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = context.headers(
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        )
        asked = context.accept(headers.get(context.REQUEST_ID), headers.get(context.TRACEPARENT), headers=headers)
        if self._tracer is not None and scope["path"] not in QUIET:
            asked = self._tracer.begin(asked, span_name(scope))
        context.enter(asked)
        answer = _Answer()

        async def send_framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", asked.request_id.encode())]
                if self.draining:
                    message["headers"].append((b"connection", b"close"))
            answer.size += len(message.get("body", b""))
            await send(message)

        try:
            await self._limited(_get_for_head(scope), headers, receive, send_framed)
        finally:
            count_http(scope["path"], answer.status)
            self._log(scope, answer)
            if asked.span is not None:
                end_span(asked.span, scope, answer.status)

    async def _limited(self, scope: Message, headers: dict[str, str], receive: Receive, send: Send) -> None:
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._max_body_bytes:
            await error_response(scope, self._too_large())(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self._bytes_in_flight += size
            if size:
                self._check(received)
            return message

        try:
            await self._app(scope, receive_limited, send)
        finally:
            self._bytes_in_flight -= received

    def _check(self, received: int) -> None:
        if received > self._max_body_bytes:
            raise self._too_large()
        if self._bytes_in_flight > self._max_bytes_in_flight:
            SHED_BODIES.inc()
            most = readable(self._max_bytes_in_flight)
            raise ResourceExhausted(f"The bodies of all requests in work may have at most {most}.", retry_after_s=1.0)

    def _too_large(self) -> InvalidArgument:
        text = f"A request body may have at most {readable(self._max_body_bytes)}."
        return InvalidArgument(text, reason=Reason.REQUEST_TOO_LARGE, field="body")

    def _log(self, scope: Message, answer: _Answer) -> None:
        failed = answer.status >= 500
        if not failed and not (self._log_every and scope["path"] not in QUIET):
            return
        reason = scope.get("state", {}).get(REASON)
        (log.warning if failed else log.info)(
            "http",
            method=scope["method"],
            path=scope["path"][:128],
            status=answer.status,
            ms=round((time.perf_counter() - answer.began) * 1e3, 3),
            bytes=answer.size,
            **({"reason": reason} if reason else {}),
        )


def _get_for_head(scope: Message) -> Message:
    """Has HEAD answered as GET; the server, which keeps the scope it made, leaves the body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
