"""The variants of the measurement of telemetry."""

from benchmarks.telemetry import OFF, variables

COLLECTOR = "http://127.0.0.1:4318"


def test_as_shipped_is_what_the_settings_say() -> None:
    """With a collector named and all else left alone, one request of a hundred is traced, and each is logged."""
    assert {
        "TRIPTYCH_OTLP_ENDPOINT": COLLECTOR,
        "TRIPTYCH_TRACE_SAMPLE_RATIO": "0.01",
        "TRIPTYCH_REQUEST_LOG": "True",
    } == variables(COLLECTOR)["as shipped"]


def test_the_first_variant_has_nothing() -> None:
    """It is what the others are compared with."""
    assert (OFF, {}) == next(iter(variables(COLLECTOR).items()))
