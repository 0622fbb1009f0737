"""Around every HTTP request, in plain ASGI: ids in and out, a body limit, one log line, a gentle end of connections."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from gateway.http.errors import error_response
from servicekit import context
from servicekit.errors import InvalidArgument, Reason

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

log = structlog.get_logger()

QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are asked for so often that a log line for each would hide the rest."""


class RequestFrame:
    """Frames every request: enters its context, limits its body, logs its end."""

    def __init__(self, app: App, max_body_bytes: int, *, log_every: bool) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._log_every = log_every
        self.draining = False
        """When set, every answer asks its client to open a new connection next time."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handles one request; other kinds of scope pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        asked = context.accept(headers.get(context.REQUEST_ID), headers.get(context.TRACEPARENT))
        context.enter(asked)
        status = 500

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", asked.request_id.encode())]
                if self.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=asked.request_id, trace_id=asked.trace_id):
            try:
                await self._limited(scope, headers, receive, send_framed)
            finally:
                self._log(scope, status, start)

    async def _limited(self, scope: Message, headers: dict[str, str], receive: Receive, send: Send) -> None:
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            await error_response(self._too_large())(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise self._too_large()
            return message

        await self._app(scope, receive_limited, send)

    def _too_large(self) -> InvalidArgument:
        return InvalidArgument(
            f"A request body may have {self._max_body_bytes} bytes.", reason=Reason.REQUEST_TOO_LARGE, field="body"
        )

    def _log(self, scope: Message, status: int, start: float) -> None:
        if status >= 500 or (self._log_every and scope["path"] not in QUIET):
            ms = round((time.perf_counter() - start) * 1e3, 3)
            log.info("http", method=scope["method"], path=scope["path"][:128], status=status, ms=ms)
