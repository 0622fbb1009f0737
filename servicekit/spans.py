"""Spans: what one step of a traced request was. Plain data, which `servicekit.telemetry` sends on."""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from servicekit.errors import Code, Reason, TriptychError

Value = str | int | float | bool


class Kind(IntEnum):
    """Says on which side of a call a span is, with OpenTelemetry's numbers."""

    INTERNAL = 0
    SERVER = 1
    CLIENT = 2


CALLERS_OWN = frozenset(
    {
        Code.CANCELLED,
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.PERMISSION_DENIED,
        Code.FAILED_PRECONDITION,
        Code.OUT_OF_RANGE,
        Code.UNAUTHENTICATED,
    }
)
"""Codes of what a caller did wrong; whoever serves it did right, and its span is no failure. Shedding is one."""


class Recorder(Protocol):
    """Takes spans that have ended."""

    def record(self, span: "Span") -> None:
        """Takes one; never waits, never raises."""


@dataclass(slots=True, eq=False)
class Span:
    """Is one step. It exists only in requests that are traced."""

    name: str
    kind: Kind
    trace_id: str
    """32 hex digits."""
    parent_id: str
    """16 hex digits; empty when the trace begins here."""
    recorder: Recorder
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))
    start_ns: int = field(default_factory=time.time_ns)
    end_ns: int = 0
    attributes: dict[str, Value] = field(default_factory=dict)
    links: list[tuple[str, str]] = field(default_factory=list)
    """Trace and span ids of others that had a part in it."""
    reason: str = ""
    """Why it ended as it should not; empty when all is well."""
    failed: bool = False
    """Whether that was a failure, and not only what its caller deserved."""

    @property
    def traceparent(self) -> str:
        """Returns what tells the next process that its work belongs to this span."""
        return f"00-{self.trace_id}-{self.span_id}-01"

    def child(self, name: str, kind: Kind = Kind.INTERNAL) -> "Span":
        """Begins a step of this one."""
        return Span(name, kind, self.trace_id, self.span_id, self.recorder)

    def link(self, other: "Span") -> None:
        """Notes that another request's step has to do with this one."""
        self.links.append((other.trace_id, other.span_id))

    def fail(self, error: BaseException) -> None:
        """Notes why the step ended as it should not; never the error's text, which may quote a caller."""
        self.end_with(*outcome(error))

    def end_with(self, code: Code, reason: str) -> None:
        """Notes a code and a reason, unless a reason is known already: what comes first is nearest to the cause."""
        if not self.reason:
            self.reason = reason
            self.failed = self.kind is not Kind.SERVER or code not in CALLERS_OWN

    def end(self) -> None:
        """Ends the step and hands it on."""
        self.end_ns = time.time_ns()
        self.recorder.record(self)


def outcome(error: BaseException) -> tuple[Code, str]:
    """Returns the code and the reason of what was raised."""
    if isinstance(error, TriptychError):
        return error.code, error.reason.value
    if isinstance(error, asyncio.CancelledError):
        return Code.CANCELLED, Reason.CALLER_CANCELLED.value
    return Code.INTERNAL, type(error).__name__
