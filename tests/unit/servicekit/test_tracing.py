"""Which requests are traced, and what their steps say."""

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes.spans import PARENT, SAMPLED, TRACE, UNSAMPLED, Spans

from servicekit import context, tracing
from servicekit.context import RequestContext
from servicekit.errors import Code, InvalidArgument, Reason, ResourceExhausted, TriptychError, Unavailable
from servicekit.spans import Kind, Span
from servicekit.tracing import RPC_CODE, rpc_attributes


@pytest.fixture
def spans() -> Spans:
    """Keeps what ends."""
    return Spans()


def _traced(spans: Spans, name: str = "request") -> RequestContext:
    """Enters the context of a traced request."""
    asked = spans.tracer().begin(context.accept("one", SAMPLED), name)
    context.enter(asked)
    return asked


def test_a_callers_trace_goes_on(spans: Spans) -> None:
    """A sampled trace is continued whatever the ratio: its id stays, and the caller's step becomes the parent."""
    span = _traced(spans).span

    assert span is not None
    assert (TRACE, PARENT, Kind.SERVER) == (span.trace_id, span.parent_id, span.kind)
    assert f"00-{TRACE}-{span.span_id}-01" == span.traceparent


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_caller_who_wants_no_trace_gets_none(spans: Spans, ratio: float) -> None:
    """An unsampled trace of the caller's stays unsampled, and is handed on as it came."""
    asked = context.accept("one", UNSAMPLED)

    got = spans.tracer(ratio).begin(asked, "request")

    assert (None, UNSAMPLED) == (got.span, got.traceparent)


@pytest.mark.parametrize(("flags", "wanted"), [("01", True), ("03", True), ("ff", True), ("00", False), ("02", False)])
def test_only_the_sampled_bit_counts(spans: Spans, flags: str, wanted: bool) -> None:
    """Other flags of W3C's byte decide nothing."""
    got = spans.tracer().begin(context.accept("one", SAMPLED[:-2] + flags), "request")

    assert wanted is (got.span is not None)


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_a_share_of_the_others_is_traced(spans: Spans, ratio: float) -> None:
    """Of requests without a trace, the ratio decides, and the trace begins without a parent."""
    tracer = spans.tracer(ratio)

    begun = [tracer.begin(context.accept(None, None), "request").span for _ in range(4000)]

    assert 4000 * ratio == pytest.approx(sum(span is not None for span in begun), abs=150 if 0 < ratio < 1 else 0)
    assert {""} >= {span.parent_id for span in begun if span is not None}


def test_a_request_that_is_not_traced_costs_no_span(spans: Spans) -> None:
    """No step of it makes a span, and each is given nothing to write to."""
    context.enter(spans.tracer().begin(context.accept("one", UNSAMPLED), "request"))
    before = sum(isinstance(each, Span) for each in gc.get_objects())

    with tracing.span("step") as step, tracing.call(rpc_attributes("/a.B/C", None), Kind.CLIENT) as call:
        during = sum(isinstance(each, Span) for each in gc.get_objects())

    assert (None, None, before) == (step, call, during)
    assert UNSAMPLED == context.current().traceparent  # type: ignore[union-attr]


def test_steps_are_nested(spans: Spans) -> None:
    """A step within a step is its child, and the request's context is as before when it ends."""
    asked = _traced(spans)

    with tracing.span("outer") as outer, tracing.span("inner"):
        pass

    assert outer is not None
    assert [outer.span_id, asked.span.span_id] == [span.parent_id for span in spans.ended]  # type: ignore[union-attr]
    assert asked is context.current()


def test_a_step_says_why_it_failed(spans: Spans) -> None:
    """The reason of an error of ours is noted, never its text, which may quote what the caller sent."""
    _traced(spans)

    with pytest.raises(Unavailable), tracing.span("step"):
        raise Unavailable("secret.jpg cannot be sent", reason=Reason.MODEL_NOT_READY)

    step = spans.one("step")
    assert ("MODEL_NOT_READY", True) == (step.reason, step.failed)
    assert "secret" not in repr(step)


def test_the_first_reason_stays(spans: Spans) -> None:
    """What comes later is further from the cause."""
    span = _traced(spans).span
    assert span is not None

    span.fail(ResourceExhausted("full"))
    span.end_with(Code.INTERNAL, "later")

    assert ("QUEUE_FULL", True) == (span.reason, span.failed)


@pytest.mark.parametrize(
    ("error", "failed"),
    [(InvalidArgument("bad"), False), (ResourceExhausted("full"), True), (Unavailable("away"), True)],
)
def test_what_a_caller_did_wrong_is_no_failure_of_a_server(spans: Spans, error: TriptychError, failed: bool) -> None:
    """A server's span has the reason in any case, and failed only when the server did; shedding counts."""
    span = _traced(spans).span
    assert span is not None

    span.fail(error)

    assert (error.reason.value, failed) == (span.reason, span.failed)


def test_a_call_has_a_code(spans: Spans) -> None:
    """A step that is a call says in OpenTelemetry's words what was called and how it ended."""
    _traced(spans)
    attributes = rpc_attributes("/a.B/C", None)

    with tracing.call(attributes, Kind.CLIENT):
        pass
    with pytest.raises(asyncio.CancelledError), tracing.call(attributes, Kind.CLIENT):
        raise asyncio.CancelledError

    assert ["OK", "CANCELLED"] == [span.attributes[RPC_CODE] for span in spans.ended]
    assert {"rpc.system.name": "grpc", "rpc.method": "a.B/C"}.items() <= spans.ended[0].attributes.items()
    assert ["", "CALLER_CANCELLED"] == [span.reason for span in spans.ended]


def test_a_step_in_another_thread(spans: Spans) -> None:
    """A thread, which has no context, works under the step it is given, and under none without harm."""
    parent = _traced(spans).span

    def work(under: Span | None) -> None:
        with tracing.under(under, "work"):
            assert tracing.current() is None

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work, parent).result()
        pool.submit(work, None).result()

    assert parent is not None
    assert [parent.span_id] == [span.parent_id for span in spans.named("work")]


def _caller(spans: Spans, number: int, flag: str = "01") -> RequestContext:
    given = f"00-{number:032x}-{number:016x}-{flag}"
    return spans.tracer().begin(context.accept(f"caller-{number}", given), f"caller {number}")


def test_a_shared_message_belongs_to_the_first_who_is_traced(spans: Spans) -> None:
    """Its step is a child of that one's, is linked with the steps of the others, and they with it."""
    unsampled, first, second = _caller(spans, 1, "00"), _caller(spans, 2), _caller(spans, 3)
    assert first.span is not None
    assert second.span is not None
    shared = context.shared([unsampled, first, first, second])
    assert shared is not None
    context.enter(shared)

    with tracing.span("message") as message, tracing.span("within"):
        pass

    assert "caller-1,caller-2,caller-3" == shared.request_id
    assert message is not None
    assert (first.trace_id, first.span.span_id) == (message.trace_id, message.parent_id)
    assert [(second.trace_id, second.span.span_id)] == message.links
    assert [(message.trace_id, message.span_id)] == second.span.links
    assert ([], []) == (first.span.links, spans.one("within").links)


def test_a_message_of_callers_who_are_not_traced_is_not(spans: Spans) -> None:
    """It carries the trace of the first, unsampled."""
    shared = context.shared([_caller(spans, 1, "00"), _caller(spans, 2, "00")])

    assert shared is not None
    assert (None, f"00-{1:032x}-{1:016x}-00") == (shared.span, shared.traceparent)


def test_an_answer_that_another_request_makes_is_linked(spans: Spans) -> None:
    """Who waits for another's work finds its steps in the other's trace."""
    other = _caller(spans, 2)
    asked = _traced(spans)

    tracing.joined(other)

    assert asked.span is not None
    assert other.span is not None
    assert [(other.trace_id, other.span.span_id)] == asked.span.links
    assert asked.span.attributes["triptych.shared_answer"] is True
