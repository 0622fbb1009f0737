"""Request ids, traces and deadlines."""

import contextvars
import math

import pytest

from servicekit import context

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_callers_ids_are_kept() -> None:
    """A well-formed request id and trace are taken over and handed on."""
    asked = context.accept("order-7", PARENT)

    assert (("x-request-id", "order-7"), ("traceparent", PARENT)) == asked.metadata()


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "línea", "a\nb", "a\x7f"])
def test_a_bad_request_id_is_replaced(given: str | None) -> None:
    """What is missing, too long or unprintable becomes a fresh id of 32 digits."""
    got = context.accept(given, None).request_id

    assert given != got
    assert 32 == len(got)


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
