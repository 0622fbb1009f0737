"""Who is asking, and until when: request id, W3C trace context and deadline, handed from hop to hop."""

import math
import re
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from servicekit.spans import Span

REQUEST_ID = "x-request-id"
TRACEPARENT = "traceparent"

LONGEST_ID = 128
"""Characters of a caller's request id."""
LONGEST_IDS = 2048
"""Characters of the ids of all callers that share a message between the services."""

_REQUEST_ID = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_REQUEST_IDS = re.compile(r"[\x21-\x7e]+")  # several, joined with commas
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Identifies one request on every hop."""

    request_id: str
    traceparent: str
    span: Span | None = field(default=None, compare=False)
    """The step in work, of a request that is traced; then `traceparent` names it."""
    sharers: tuple[Span, ...] = field(default=(), compare=False)
    """Steps of other traced requests that share the message in work."""
    fresh: bool = field(default=False, compare=False)
    """Whether the request came without a trace, so that it begins here."""
    headers: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """HTTP headers or gRPC metadata of an outside caller, by name in small letters. They go no further than this
    process, and into no log."""

    @property
    def trace_id(self) -> str:
        """Returns the 32 hex digits that all hops share."""
        return self.traceparent[3:35]

    @property
    def span_id(self) -> str:
        """Returns the 16 hex digits of the step in work, or of the caller's."""
        return self.traceparent[36:52]

    @property
    def sampled(self) -> bool:
        """Says whether the caller wants the request traced."""
        return bool(int(self.traceparent[-1], 16) & 1)

    def within(self, span: Span) -> "RequestContext":
        """Returns the context of a step of the same request."""
        return RequestContext(self.request_id, span.traceparent, span, headers=self.headers)

    def another(self) -> "RequestContext":
        """Returns the context of a further piece of work for the same caller: a trace that began here begins anew."""
        return accept(self.request_id, None, headers=self.headers) if self.fresh else self

    def aside(self) -> "RequestContext":
        """Returns the context of work that the request gave rise to, and that is no part of it: traced by nobody."""
        return RequestContext(self.request_id, self.traceparent)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns what the next hop must be told."""
        return ((REQUEST_ID, self.request_id), (TRACEPARENT, self.traceparent))


_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


def accept(
    request_id: str | None, traceparent: str | None, *, several: bool = False, headers: Mapping[str, Any] | None = None
) -> RequestContext:
    """Builds the context of an incoming request; what is missing, malformed or too long is replaced by a fresh id.

    Args:
        request_id: as it came.
        traceparent: as it came.
        several: whether the ids of several callers may come joined, as they do between the services.
        headers: all that came, of an outside caller.
    """
    longest, pattern = (LONGEST_IDS, _REQUEST_IDS) if several else (LONGEST_ID, _REQUEST_ID)
    if request_id is None or len(request_id) > longest or not pattern.fullmatch(request_id):
        request_id = secrets.token_hex(16)
    fresh = traceparent is None or not _TRACEPARENT.fullmatch(traceparent)
    if traceparent is None or fresh:
        traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
    return RequestContext(request_id, traceparent, fresh=fresh, headers=headers or {})


def headers(pairs: Collection[tuple[str, Any]]) -> dict[str, Any]:
    """Returns what came with a request, by name; several traces are worth as little as none, as W3C wants it."""
    found = dict(pairs)
    if len(found) < len(pairs) and sum(name == TRACEPARENT for name, _ in pairs) > 1:
        del found[TRACEPARENT]
    return found


def shared(contexts: Iterable[RequestContext | None]) -> RequestContext | None:
    """Returns the context of a message that several callers share: all their ids, and the trace of the first.

    That is the first who is traced, if any is. Ids that would make the metadata too long are left out.
    """
    callers = [caller for caller in contexts if caller is not None]
    if not callers:
        return None
    first, *others = dict.fromkeys(caller.request_id for caller in callers)
    joined = first
    for other in others:
        if len(joined) + 1 + len(other) > LONGEST_IDS:
            break
        joined += f",{other}"
    spans = tuple(dict.fromkeys(caller.span for caller in callers if caller.span is not None))
    if not spans:
        return RequestContext(joined, callers[0].traceparent)
    return RequestContext(joined, spans[0].traceparent, spans[0], spans[1:])


def enter(context: RequestContext | None) -> None:
    """Makes `context` the current task's."""
    _current.set(context)


@contextmanager
def entered(context: RequestContext) -> Iterator[None]:
    """Does what `enter` does, while the context is open."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> RequestContext | None:
    """Returns the context of the request in work, if any."""
    return _current.get()


def set_deadline(timeout_s: float) -> None:
    """Says that the current task's request is worth `timeout_s` seconds from now."""
    _deadline.set(time.monotonic() + timeout_s)


@contextmanager
def deadline(timeout_s: float) -> Iterator[None]:
    """Does what `set_deadline` does, while the context is open."""
    token = _deadline.set(time.monotonic() + timeout_s)
    try:
        yield
    finally:
        _deadline.reset(token)


def deadline_s() -> float:
    """Returns when the request in work is worth nothing any more, monotonic; infinite without a deadline."""
    return _deadline.get()


def time_left_s() -> float:
    """Returns how many seconds the request in work still has, perhaps less than none; infinite without a deadline."""
    return _deadline.get() - time.monotonic()
