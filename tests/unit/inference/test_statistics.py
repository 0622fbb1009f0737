"""Times and troubles inside Triton, from the growth of its totals."""

from services.inference.statistics import Statistics, Times, Totals

SECOND_NS = 10**9
MILLISECOND_NS = 10**6


def test_nothing_is_known_before_the_first_request() -> None:
    """A version that never answered has no times."""
    statistics = Statistics()
    statistics.update("tiny", "1", Totals())
    assert statistics.times("tiny", "1") is None


def test_the_last_interval_counts() -> None:
    """Only what was added since the last look is averaged."""
    statistics = Statistics()
    statistics.update("tiny", "1", Totals(10, 5 * SECOND_NS, 10 * SECOND_NS))
    statistics.update("tiny", "1", Totals(12, 5 * SECOND_NS + 2 * MILLISECOND_NS, 10 * SECOND_NS + 4 * MILLISECOND_NS))
    assert Times(queue_s=0.001, compute_s=0.002) == statistics.times("tiny", "1")


def test_a_quiet_interval_keeps_the_means() -> None:
    """Without new requests the last means stand."""
    statistics = Statistics()
    for _ in range(2):
        statistics.update("tiny", "1", Totals(1, 1 * MILLISECOND_NS, 3 * MILLISECOND_NS))
    assert Times(queue_s=0.001, compute_s=0.003) == statistics.times("tiny", "1")


def test_a_restarted_server_counts_anew() -> None:
    """Totals that shrink begin again from nothing."""
    statistics = Statistics()
    statistics.update("tiny", "1", Totals(100, 50 * SECOND_NS, 100 * SECOND_NS))
    statistics.update("tiny", "1", Totals(2, 2 * MILLISECOND_NS, 8 * MILLISECOND_NS))
    assert Times(queue_s=0.001, compute_s=0.004) == statistics.times("tiny", "1")


def test_requests_that_only_fail_are_told() -> None:
    """More failures and no success since the last look is suspect; either one alone is not."""
    statistics = Statistics()
    statistics.update("tiny", "1", Totals(requests=5, failures=2))

    assert [False, True, False, False] == [
        statistics.update("tiny", "1", Totals(requests, failures=failures))
        for requests, failures in [(5, 2), (5, 3), (6, 4), (7, 4)]
    ]
