"""The budget of retries."""

from gateway.retry import RetryBudget


def _spent(budget: RetryBudget, most: int) -> int:
    return sum(budget.spend() for _ in range(most))


def test_a_full_purse_covers_a_restart() -> None:
    """At the start a burst of retries is allowed, and no more."""
    assert 5 == _spent(RetryBudget(capacity=5), 10)


def test_ten_calls_earn_one_retry() -> None:
    """An empty purse allows about a tenth of the calls to be retried."""
    budget = RetryBudget(capacity=5)
    _spent(budget, 10)
    for _ in range(31):
        budget.earn()

    assert 3 == _spent(budget, 10)


def test_a_purse_has_a_size() -> None:
    """However many calls go well, only so much is saved."""
    budget = RetryBudget(capacity=5)
    for _ in range(1000):
        budget.earn()

    assert 5 == _spent(budget, 10)
