"""Retries: which failures are worth one, when it is made, and how many there may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych import ClassifyError
from triptych.client.retry import FIRST_PAUSE_S, Retry, RetryBudget


def retry(saved: float = 10.0, jitter: float = 0.5) -> Retry:
    """Returns a decision maker with a given budget and luck."""
    return Retry(RetryBudget(_saved=saved), lambda: jitter)


def shed(after_s: float | None) -> ClassifyError:
    """Returns the error of a call that was shed."""
    return ClassifyError("RESOURCE_EXHAUSTED", "", retry_after_s=after_s)


@pytest.mark.parametrize(
    "code", ["DEADLINE_EXCEEDED", "INVALID_ARGUMENT", "INTERNAL", "NOT_FOUND", "CANCELLED", "UNKNOWN"]
)
def test_other_failures_are_final(code: str) -> None:
    """Only an absent or a shedding server is asked again, even when it names a pause."""
    assert retry().pause_s(ClassifyError(code, "", retry_after_s=0.1), 10) is None


def test_an_absent_server_is_asked_again_soon() -> None:
    """UNAVAILABLE without a pause waits the first pause."""
    assert pytest.approx(FIRST_PAUSE_S) == retry().pause_s(ClassifyError("UNAVAILABLE", ""), 10)


def test_a_shed_call_is_repeated_only_when_invited() -> None:
    """RESOURCE_EXHAUSTED without a pause, such as a message that is too large, is final."""
    assert retry().pause_s(shed(None), 10) is None


@given(wanted_s=st.floats(0, 5), jitter=st.floats(0, 1, exclude_max=True))
def test_nobody_comes_back_early(wanted_s: float, jitter: float) -> None:
    """Jitter only lengthens the pause that the server named, by a fifth at most."""
    pause_s = retry(jitter=jitter).pause_s(shed(wanted_s), 100)
    assert pause_s is not None
    assert wanted_s <= pause_s <= 1.2 * wanted_s


def test_a_retry_fits_into_the_deadline() -> None:
    """A pause that ends after the deadline is not begun, and costs nothing of the budget."""
    decision = retry(saved=1)
    assert decision.pause_s(shed(1.0), 1.0) is None
    assert decision.pause_s(shed(0.5), 1.0) is not None


def test_at_most_a_tenth_of_the_calls_are_repeated() -> None:
    """When every call fails, one in ten is repeated."""
    decision, repeated = retry(saved=0), 0
    for _ in range(1000):
        decision.budget.earn()
        repeated += decision.pause_s(shed(0.0), 1) is not None
    assert 98 <= repeated <= 100


def test_the_first_failure_of_a_client_may_be_repeated() -> None:
    """A new client has one retry saved up."""
    assert Retry().pause_s(shed(0.0), 1) is not None
