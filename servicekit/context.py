"""Who is asking, and until when: request id, W3C trace context and deadline, handed from hop to hop."""

import math
import re
import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass

REQUEST_ID = "x-request-id"
TRACEPARENT = "traceparent"

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Identifies one request on every hop."""

    request_id: str
    traceparent: str

    @property
    def trace_id(self) -> str:
        """Returns the 32 hex digits that all hops share."""
        return self.traceparent[3:35]

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns what the next hop must be told."""
        return ((REQUEST_ID, self.request_id), (TRACEPARENT, self.traceparent))


_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


def accept(request_id: str | None, traceparent: str | None) -> RequestContext:
    """Builds the context of an incoming request; what is missing or malformed is replaced by a fresh id."""
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = secrets.token_hex(16)
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
    return RequestContext(request_id, traceparent)


def enter(context: RequestContext) -> None:
    """Makes `context` the current task's."""
    _current.set(context)


def current() -> RequestContext | None:
    """Returns the context of the request in work, if any."""
    return _current.get()


def set_deadline(timeout_s: float) -> None:
    """Says that the current task's request is worth `timeout_s` seconds from now."""
    _deadline.set(time.monotonic() + timeout_s)


def time_left_s() -> float:
    """Returns how many seconds the request in work still has, perhaps less than none; infinite without a deadline."""
    return _deadline.get() - time.monotonic()
