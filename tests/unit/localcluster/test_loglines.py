"""Log lines for people."""

import json

from localcluster.loglines import moment, prefixed, readable

RECORD = {
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "level": "info",
    "event": "http",
    "service": "gateway",
    "path": "/a b",
    "ms": 1.5,
    "request_id": "0123456789abcdef0123456789abcdef",
    "trace_id": "f" * 32,
}


def test_a_record_becomes_one_line() -> None:
    """Time, level, event and values are shown; the service and long ids are not."""
    expected = "03:04:05.678 info    http path='/a b' ms=1.5 request_id=0123456789a…"
    assert expected == readable(json.dumps(RECORD)).plain


def test_the_process_is_named_before_the_line() -> None:
    """The name of the process stands in a column of its own."""
    assert prefixed("gateway-1", json.dumps(RECORD)).plain.startswith("gateway-1      | 03:04:05.678")


def test_a_traceback_keeps_its_lines() -> None:
    """A traceback stands below its event as Python writes it."""
    text = readable(json.dumps({**RECORD, "exception": "Traceback:\n  here"})).plain
    assert text.endswith("\nTraceback:\n  here")


def test_other_text_stays_as_it_is() -> None:
    """Lines that are no records, such as Triton's, pass through."""
    for line in ('2026-01-02T03:04:05Z I 7 server.cc:1] "up"', "{broken", "[1, 2]", "{}"):
        assert line == readable(line).plain


def test_lines_of_all_kinds_sort_by_time() -> None:
    """Records and Triton's lines have comparable times; others have none."""
    assert ("2026-01-02T03:04:05.678901", "2026-01-02T03:04:05", "") == (
        moment(json.dumps(RECORD)),
        moment("2026-01-02T03:04:05Z I 7 up"),
        moment("Traceback"),
    )
