"""Request ids, traces and deadlines."""

import contextvars
import math

import pytest
from fakes.spans import HOSTILE, SAMPLED, Spans

from servicekit import context

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_callers_ids_are_kept() -> None:
    """A well-formed request id and trace are taken over and handed on."""
    asked = context.accept("order-7", PARENT)

    assert (("x-request-id", "order-7"), ("traceparent", PARENT)) == asked.metadata()


@pytest.mark.parametrize("given", [None, "", "a b", "a,b", "x" * 129, "línea", "a\nb", "a\x7f"])
def test_a_bad_request_id_is_replaced(given: str | None) -> None:
    """What is missing, too long, unprintable or several becomes a fresh id of 32 digits."""
    got = context.accept(given, None).request_id

    assert given != got
    assert 32 == len(got)


def test_ids_of_several_callers_may_be_long() -> None:
    """Between the services the limit is that of a message with many callers."""
    longest = context.LONGEST_IDS

    assert "x" * longest == context.accept("x" * longest, None, several=True).request_id
    assert "x" * longest != context.accept("x" * (longest + 1), None, several=True).request_id[:longest]


def _asking(request_id: str, digit: str = "a") -> context.RequestContext:
    return context.accept(request_id, f"00-{digit * 32}-{digit * 16}-01", several=True)


def test_callers_that_share_a_message_share_its_ids() -> None:
    """All request ids, joined by commas in the order of the callers, and the trace of the first."""
    got = context.shared([_asking("one", "a"), _asking("two", "b"), _asking("three", "c")])

    assert context.RequestContext("one,two,three", _asking("one", "a").traceparent) == got


def test_a_single_callers_ids_are_its_own() -> None:
    """A message of one caller says what the caller said."""
    assert _asking("one") == context.shared([_asking("one")])


def test_a_caller_is_named_once() -> None:
    """Several items of one caller do not repeat its id, and callers without ids add nothing."""
    got = context.shared([None, _asking("one"), _asking("one"), None, _asking("two")])

    assert got is not None
    assert "one,two" == got.request_id


@pytest.mark.parametrize("contexts", [[], [None, None]])
def test_nobody_shares_nothing(contexts: list[context.RequestContext | None]) -> None:
    """Without a caller's context there is none."""
    assert context.shared(contexts) is None


def test_ids_that_are_too_long_together_are_left_out() -> None:
    """What is joined is whole ids, as many as fit, and the next hop takes them as they are."""
    callers = [_asking(f"{number:0128}") for number in range(100)]
    got = context.shared(callers)

    assert got is not None
    ids = got.request_id.split(",")
    assert [caller.request_id for caller in callers[: len(ids)]] == ids
    assert context.LONGEST_IDS - 129 < len(got.request_id) <= context.LONGEST_IDS
    assert got == context.accept(got.request_id, got.traceparent, several=True)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        PARENT + "-x",
        PARENT.upper(),
        "01" + PARENT[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
    ],
)
def test_a_bad_trace_is_replaced(given: str | None) -> None:
    """What is no W3C traceparent of version 0 starts a fresh trace."""
    assert given != context.accept("id", given).traceparent


def test_the_trace_id_is_the_shared_part() -> None:
    """The trace id is the parent's 32 digits."""
    assert "0af7651916cd43dd8448eb211c80319c" == context.accept("id", PARENT).trace_id


def test_no_deadline_is_infinite() -> None:
    """Without a deadline, time never ends."""
    assert math.inf == contextvars.Context().run(context.time_left_s)


def test_a_deadline_is_the_tasks_own() -> None:
    """A deadline set in one context is not seen in another."""
    contextvars.copy_context().run(context.set_deadline, 1)

    assert math.inf == context.time_left_s()


def test_time_runs_out() -> None:
    """A deadline in the past leaves less than nothing."""

    def inside() -> float:
        context.set_deadline(-1)
        return context.time_left_s()

    assert -1 >= contextvars.copy_context().run(inside)


def test_a_deadline_lasts_as_long_as_its_block() -> None:
    """After the block the deadline is the one from before."""
    with context.deadline(-1):
        assert -1 >= context.time_left_s()

    assert math.inf == context.time_left_s()


@pytest.mark.parametrize("given", HOSTILE.values(), ids=HOSTILE)
def test_a_trace_that_is_none_is_replaced(given: str) -> None:
    """What is malformed, too long or several begins a trace of its own, which nobody asked to record."""
    got = context.accept("one", given)

    assert (True, False) == (got.fresh, got.sampled)
    assert 55 == len(got.traceparent)
    assert "0af7651916cd43dd" not in got.traceparent.lower()


def test_a_trace_that_comes_twice_is_none() -> None:
    """Which of two were meant nobody knows, so neither counts; other headers may come twice."""
    twice = [("a", "1"), ("traceparent", SAMPLED), ("a", "2"), ("traceparent", SAMPLED)]

    assert {"a": "2"} == context.headers(twice)
    assert {"a": "2", "traceparent": SAMPLED} == context.headers(twice[:3])


def test_further_work_for_a_caller_without_a_trace_gets_its_own() -> None:
    """The request id stays, and so does the trace of a caller who has one."""
    fresh, given = context.accept("one", None), context.accept("two", SAMPLED)

    assert fresh.trace_id != fresh.another().trace_id
    assert "one" == fresh.another().request_id
    assert given is given.another()


def test_headers_stay_with_the_request() -> None:
    """With each of its steps and pieces of work; not with what it shares with others or leaves behind."""
    asked = context.accept("one", None, headers={"x-route-key": "me"})
    traced = Spans().tracer().begin(context.accept("one", SAMPLED, headers=asked.headers), "request")
    shared = context.shared([asked, context.accept("two", None)])

    assert traced.span is not None
    assert {"x-route-key": "me"} == asked.another().headers == traced.headers
    assert shared is not None
    assert {} == shared.headers == asked.aside().headers
    assert "me" not in repr(asked)
