"""Counting and logging what became of rows."""

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from servicekit.errors import Internal, ResourceExhausted, TriptychError
from services.inference.failures import RowOutcomes, Throttle


def test_one_of_a_kind_a_second_gets_through() -> None:
    """The next one says how many were held back; other kinds do not wait."""
    now = 100.0
    throttle = Throttle(1.0, lambda: now)
    first = [throttle.admit("a"), throttle.admit("a"), throttle.admit("b"), throttle.admit("a")]
    now = 101.0

    assert ([0, None, 0, None], 2) == (first, throttle.admit("a"))


def test_rows_count_by_outcome() -> None:
    """OK and each reason have counters of their own, per model and version."""
    registry = CollectorRegistry()
    outcomes = RowOutcomes(registry)
    for _ in range(2):
        outcomes.record("tiny", "1", [None, ResourceExhausted("Full."), None])

    def rows(outcome: str) -> float | None:
        labels = {"model": "tiny", "version": "1", "outcome": outcome}
        return registry.get_sample_value("triptych_inference_rows_total", labels)

    assert (4.0, 2.0) == (rows("OK"), rows("QUEUE_FULL"))


def test_failures_are_logged_once_per_reason() -> None:
    """A batch with two kinds of failures makes two lines; the same batch again, at once, makes none."""
    outcomes = RowOutcomes(CollectorRegistry())
    errors: list[TriptychError | None] = [Internal("Broken."), None, ResourceExhausted("Full."), Internal("Broken.")]
    with capture_logs() as lines:
        outcomes.record("tiny", "1", errors)
        outcomes.record("tiny", "1", errors)

    assert {("INTERNAL", 2, 4, "Broken."), ("QUEUE_FULL", 1, 4, "Full.")} == {
        (line["reason"], line["rows"], line["of"], line["error"]) for line in lines
    }
    assert 2 == len(lines)
