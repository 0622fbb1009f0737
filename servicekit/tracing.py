"""Tracing: which requests are traced, and the steps of those that are.

The span in work is part of the request's context (`servicekit.context`), so that each step finds its parent, and a
request that is not traced has none: it costs a look, and no object. Nothing here knows OpenTelemetry.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from servicekit import context
from servicekit.context import RequestContext
from servicekit.spans import Kind, Recorder, Span, Value, outcome

RPC_SYSTEM = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_CODE = "rpc.response.status_code"
_NOT_TRACED: AbstractContextManager[None] = nullcontext()
_TRACE_IDS = 2**64
"""Number of the second halves that a trace id can have, which are random."""


def rpc_attributes(method: str, transport: object) -> dict[str, Value]:
    """Describes a call in OpenTelemetry's words.

    Args:
        method: `/package.Service/Method`.
        transport: the channel, or the context of the call on the server's side; what is not gRPC's says `rpc_system`.
    """
    return {RPC_SYSTEM: getattr(transport, "rpc_system", "grpc"), RPC_METHOD: method[1:]}


class Tracer:
    """Begins the spans of the requests that come in, of those that shall be traced."""

    def __init__(self, recorder: Recorder, ratio: float = 0.0) -> None:
        """Takes who keeps the spans, and the share of requests to trace of those that come without a trace.

        A request that belongs to a trace already is traced if its caller says so. Only the gateway has a ratio: within
        the cluster every request belongs to one.
        """
        self._recorder = recorder
        self._bound = round(ratio * _TRACE_IDS)

    def begin(self, asked: RequestContext, name: str) -> RequestContext:
        """Returns the context of a request that came in; it has a span, to be ended, if it is traced."""
        if asked.fresh:
            if int(asked.trace_id[16:], 16) >= self._bound:
                return asked
        elif not asked.sampled:
            return asked
        parent_id = "" if asked.fresh else asked.span_id
        return asked.within(Span(name, Kind.SERVER, asked.trace_id, parent_id, self._recorder))


def current() -> Span | None:
    """Returns the span in work; None when the request is not traced."""
    asking = context.current()
    return None if asking is None else asking.span


def span(name: str, kind: Kind = Kind.INTERNAL) -> AbstractContextManager[Span | None]:
    """Makes what happens while the context is open a step of the request in work, if that is traced.

    The first step of a message that several callers share is linked with the steps of the others (docs/adr/0014).
    """
    asking = context.current()
    if asking is None or asking.span is None:
        return _NOT_TRACED
    return _step(asking, asking.span, name, kind)


@contextmanager
def _step(asking: RequestContext, parent: Span, name: str, kind: Kind) -> Iterator[Span]:
    child = parent.child(name, kind)
    for other in asking.sharers:
        child.link(other)
        other.link(child)
    with context.entered(asking.within(child)), ending(child):
        yield child


def call(attributes: Mapping[str, Value], kind: Kind) -> AbstractContextManager[Span | None]:
    """Makes a step of one side of a call, as `span` does; `attributes` are those of `rpc_attributes`."""
    asking = context.current()
    if asking is None or asking.span is None:
        return _NOT_TRACED
    return _call(asking, asking.span, attributes, kind)


@contextmanager
def _call(asking: RequestContext, parent: Span, attributes: Mapping[str, Value], kind: Kind) -> Iterator[Span]:
    with _step(asking, parent, str(attributes[RPC_METHOD]), kind) as span:
        span.attributes |= attributes
        span.attributes[RPC_CODE] = "OK"
        try:
            yield span
        except BaseException as error:
            span.attributes[RPC_CODE] = outcome(error)[0].name
            raise


def under(parent: Span | None, name: str) -> AbstractContextManager[Span | None]:
    """Makes what happens while the context is open a step of `parent`, also in another thread."""
    return _NOT_TRACED if parent is None else ending(parent.child(name))


@contextmanager
def ending(span: Span) -> Iterator[Span]:
    """Ends a span with the context, and notes what was raised."""
    try:
        yield span
    except BaseException as error:
        span.fail(error)
        raise
    finally:
        span.end()


def failed(error: BaseException) -> None:
    """Notes on the span in work, if there is one, why it fails."""
    span = current()
    if span is not None:
        span.fail(error)


def joined(other: RequestContext | None) -> None:
    """Notes that the request in work waits for what another one's work gives, and finds its steps there."""
    span = current()
    if span is not None:
        span.attributes["triptych.shared_answer"] = True
        if other is not None and other.span is not None:
            span.link(other.span)
