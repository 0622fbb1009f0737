"""Backoff: pauses double, end at a maximum, and start over after a good run."""

from localcluster.backoff import Backoff


def test_pauses_double_up_to_the_maximum() -> None:
    """Each short run doubles the pause, up to 10 s."""
    backoff = Backoff()
    assert [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0] == [backoff.after(0.1) for _ in range(8)]


def test_a_good_run_starts_over() -> None:
    """After a run that lasted, the pause is the first one again."""
    backoff = Backoff()
    for _ in range(4):
        backoff.after(1)
    assert backoff.first_s == backoff.after(backoff.calm_s)
