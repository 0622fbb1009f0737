"""Compute times, from the growth of Triton's totals."""

from services.inference.compute_times import ComputeTimes


def test_nothing_is_known_before_the_first_request() -> None:
    """A version that never computed has no time."""
    times = ComputeTimes()
    times.update("tiny", "1", 0, 0)

    assert times.mean_s("tiny", "1") is None


def test_the_last_interval_counts() -> None:
    """Only what was added since the last look is averaged."""
    times = ComputeTimes()
    times.update("tiny", "1", 10, 10_000_000_000)
    times.update("tiny", "1", 12, 10_004_000_000)

    assert 0.002 == times.mean_s("tiny", "1")


def test_a_quiet_interval_keeps_the_mean() -> None:
    """Without new requests the last mean stands."""
    times = ComputeTimes()
    times.update("tiny", "1", 1, 3_000_000)
    times.update("tiny", "1", 1, 3_000_000)

    assert 0.003 == times.mean_s("tiny", "1")


def test_a_restarted_server_counts_anew() -> None:
    """Totals that shrink begin again from nothing."""
    times = ComputeTimes()
    times.update("tiny", "1", 100, 100_000_000_000)
    times.update("tiny", "1", 2, 8_000_000)

    assert 0.004 == times.mean_s("tiny", "1")
