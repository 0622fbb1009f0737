"""Sends spans to a collector, as OTLP over HTTP, from a thread of its own: no request ever waits for it.

The only module that knows OpenTelemetry; a process that traces nothing does not load it.
"""

import logging
import os
import socket
import threading
import time
from collections import deque
from importlib.metadata import version

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from prometheus_client import Counter

from servicekit.spans import Kind, Span

log = structlog.get_logger()

MAX_WAITING = 8192
"""Spans; of more than these the newest are lost."""
BATCH = 128
"""Spans in a message: to encode more of them at a time would keep the event loop from its turn for too long."""
INTERVAL_S = 0.5
TIMEOUT_S = 5.0
"""For a message to the collector, second attempts included."""
CLOSE_S = 2.0
"""For all that still waits when the process ends."""

_SPANS = Counter("triptych_trace_spans", "Spans of traced requests, by what became of them.", ("outcome",))
_EXPORTED, _LOST = _SPANS.labels("exported"), _SPANS.labels("lost")
_KINDS = {Kind.INTERNAL: SpanKind.INTERNAL, Kind.SERVER: SpanKind.SERVER, Kind.CLIENT: SpanKind.CLIENT}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Telemetry:
    """Keeps spans until they are sent; while nobody takes them, the ones that find no room are lost."""

    def __init__(self, endpoint: str, service: str) -> None:
        """Begins to send.

        Args:
            endpoint: base URL of the collector.
            service: name of this process; `triptych-` goes before it.
        """
        # The library's own words come with every message that fails; `_tell` says it once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._endpoint = endpoint
        self._exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=TIMEOUT_S)
        self._resource = _resource(service)
        self._scope = InstrumentationScope("triptych", version("triptych"))
        self._waiting: deque[Span] = deque()
        self._over = threading.Event()
        self._lost = False
        """Whether the last message was."""
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def record(self, span: Span) -> None:
        """Takes a span that has ended; from any thread."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(span)
        else:
            _LOST.inc()

    def close(self) -> None:
        """Sends what waits, for `CLOSE_S` at most."""
        self._over.set()
        self._thread.join(CLOSE_S)
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # ends the pause before a second attempt

    def _run(self) -> None:
        while not self._over.wait(INTERVAL_S):
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        while self._waiting and self._send([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]):
            pass

    def _send(self, spans: list[Span]) -> bool:
        """Sends one message, and says whether the collector took it."""
        readable = []
        for span in spans:
            readable.append(self._readable(span))
            time.sleep(0)  # hands the interpreter to the event loop
        taken = self._exporter.export(readable) is SpanExportResult.SUCCESS
        (_EXPORTED if taken else _LOST).inc(len(spans))
        self._tell(taken=taken)
        return taken

    def _tell(self, *, taken: bool) -> None:
        if taken and self._lost:
            log.info("traces reach the collector again", endpoint=self._endpoint)
        elif not taken and not self._lost:
            log.warning("traces do not reach the collector, and are lost until they do", endpoint=self._endpoint)
        self._lost = not taken

    def _readable(self, span: Span) -> ReadableSpan:
        status = Status(StatusCode.ERROR, span.reason) if span.failed else Status()
        return ReadableSpan(
            name=span.name,
            context=_identity(span.trace_id, span.span_id),
            parent=_identity(span.trace_id, span.parent_id) if span.parent_id else None,
            resource=self._resource,
            attributes={**span.attributes, "error.type": span.reason} if span.reason else span.attributes,
            links=[Link(_identity(*other)) for other in span.links],
            kind=_KINDS[span.kind],
            status=status,
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )


def _identity(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=_SAMPLED)


def _resource(service: str) -> Resource:
    """Describes this process; what the environment adds (OTEL_RESOURCE_ATTRIBUTES) does not replace it."""
    return Resource.create(
        {
            "service.name": f"triptych-{service}",
            "service.version": version("triptych"),
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        }
    )
