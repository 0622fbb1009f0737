"""Spans on their way to a collector, over real HTTP, and what becomes of them when there is none."""

import socket
import sys
import threading
from collections.abc import Iterator
from subprocess import run

import pytest
from fakes.collector import ERROR, Collector
from fakes.servers import eventually, free_port
from fakes.spans import PARENT, TRACE
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from servicekit import telemetry
from servicekit.errors import ResourceExhausted
from servicekit.spans import Kind, Span
from servicekit.telemetry import Telemetry


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that takes everything."""
    with Collector().running() as running:
        yield running


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Waits for what a test's senders still count: the counters are the process's, and the next test reads them."""
    yield
    for thread in threading.enumerate():
        if thread.name == "telemetry":
            thread.join(telemetry.TIMEOUT_S + 1)


def _span(sender: Telemetry, name: str = "step", parent_id: str = PARENT) -> Span:
    return Span(name, Kind.CLIENT, TRACE, parent_id, sender)


def _count(outcome: str) -> float:
    return REGISTRY.get_sample_value("triptych_trace_spans_total", {"outcome": outcome}) or 0.0


def test_a_span_arrives_whole(collector: Collector) -> None:
    """Name, kind, ids, times, attributes, links and the process it is of; what waits is sent before the end."""
    sender = Telemetry(collector.url, "gateway")
    span = _span(sender)
    span.attributes |= {"text": "a", "number": 3, "share": 0.5, "yes": True}
    span.link(_span(sender))
    span.end()
    sender.close()

    (seen,) = collector.spans
    assert ("triptych-gateway", "step", 3) == (seen.service, seen.name, seen.kind)  # 3 is a client's in OTLP
    assert (TRACE, span.span_id, PARENT) == (seen.trace_id, seen.span_id, seen.parent_id)
    assert (span.start_ns, span.end_ns) == (seen.start_ns, seen.end_ns)
    assert {"text": "a", "number": 3, "share": 0.5, "yes": True} == seen.attributes
    assert span.links == seen.links
    assert 0 == seen.status
    assert {"service.version", "service.instance.id"} <= seen.resource.keys()


def test_a_trace_that_begins_here_has_no_parent(collector: Collector) -> None:
    """Its first span names none."""
    sender = Telemetry(collector.url, "gateway")
    _span(sender, parent_id="").end()
    sender.close()

    assert [""] == [span.parent_id for span in collector.spans]


def test_a_failure_arrives_with_its_reason(collector: Collector) -> None:
    """The status is an error, and the reason stands where OpenTelemetry wants it."""
    sender = Telemetry(collector.url, "gateway")
    span = _span(sender)
    span.fail(ResourceExhausted("Nobody shall read this."))
    span.end()
    sender.close()

    (seen,) = collector.spans
    assert (ERROR, "QUEUE_FULL", {"error.type": "QUEUE_FULL"}) == (seen.status, seen.status_text, seen.attributes)


async def test_spans_are_sent_while_the_process_runs(collector: Collector) -> None:
    """They do not wait for its end."""
    sender = Telemetry(collector.url, "gateway")
    _span(sender).end()

    await eventually(lambda: len(collector.spans) == 1)
    sender.close()


def test_many_spans_share_messages(collector: Collector) -> None:
    """A burst goes in as few messages as fit."""
    sender = Telemetry(collector.url, "gateway")
    for _ in range(2 * telemetry.BATCH):
        _span(sender).end()
    sender.close()

    assert 2 * telemetry.BATCH == len(collector.spans)
    assert collector.messages <= 4


async def test_a_collector_that_refuses_is_told_of_once(collector: Collector) -> None:
    """One line when spans are lost, none for each further message, and one when they arrive again."""
    collector.status = 400
    before = _count("lost")
    with capture_logs() as logs:
        sender = Telemetry(collector.url, "gateway")
        for messages in (1, 2, 3):
            _span(sender).end()
            await eventually(lambda wanted=messages: collector.messages == wanted)  # type: ignore[misc]
        await eventually(lambda: _count("lost") == before + 3)
        collector.status = 200
        _span(sender, "after").end()
        await eventually(lambda: len(collector.spans) == 1)
        sender.close()

    assert ["warning", "info"] == [line["log_level"] for line in logs]
    assert "lost until" in logs[0]["event"]
    assert "again" in logs[1]["event"]


def test_an_end_without_a_collector_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends waits for nobody who does not answer."""
    monkeypatch.setattr(telemetry, "CLOSE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        sender = Telemetry(f"http://127.0.0.1:{silent.getsockname()[1]}", "gateway")
        _span(sender).end()
        closing = threading.Thread(target=sender.close, daemon=True)
        closing.start()
        closing.join(telemetry.TIMEOUT_S / 2)

        assert not closing.is_alive()


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody takes them, spans that find no room are lost and counted, and whoever made them goes on."""
    monkeypatch.setattr(telemetry, "INTERVAL_S", 1000.0)
    monkeypatch.setattr(telemetry, "MAX_WAITING", 10)
    monkeypatch.setattr(telemetry, "CLOSE_S", 0.0)
    sender = Telemetry(f"http://127.0.0.1:{free_port()}", "gateway")
    before = _count("lost")

    for _ in range(25):
        _span(sender).end()

    assert before + 15 == _count("lost")
    sender.close()


def test_what_is_off_is_not_loaded() -> None:
    """A process without a collector imports nothing of OpenTelemetry's SDK and exporter."""
    imports = "import sys, services.preprocess.service, servicekit.server"
    program = f"{imports}\nprint([name for name in sys.modules if 'opentelemetry' in name])"

    assert b"[]" == run([sys.executable, "-c", program], capture_output=True, check=True).stdout.strip()
