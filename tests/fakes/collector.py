"""A collector of traces at the wire: it takes OTLP over HTTP, as our processes (protobuf) and Triton (JSON) send it.

It fakes what a collector does with traces: it keeps them in memory, for tests to look at, and forwards nothing.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PROTOBUF = "application/x-protobuf"
ERROR = 2
"""OpenTelemetry's status of a span that failed."""

Tree = tuple[str, list["Tree"]]
"""`service: name` of a span, and its children by the time of their beginning."""


@dataclass(frozen=True)
class Seen:
    """Is a span that came."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: list[str]
    links: list[tuple[str, str]]
    status: int
    status_text: str
    resource: dict[str, Any] = field(repr=False)

    @property
    def title(self) -> str:
        """Names the process and the step."""
        return f"{self.service.removeprefix('triptych-')}: {self.name.rpartition('.')[2]}"


class Collector:
    """Is a collector on a free port."""

    def __init__(self, status: int = 200) -> None:
        """Says what it answers."""
        self.status = status
        self.spans: list[Seen] = []
        self.messages = 0
        self._port = 0
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Returns what TRIPTYCH_OTLP_ENDPOINT takes."""
        return f"http://127.0.0.1:{self._port}"

    @contextmanager
    def running(self) -> Iterator["Collector"]:
        """Listens while the context is open."""
        self.back()
        try:
            yield self
        finally:
            self.away()

    def back(self) -> None:
        """Listens, on the same port as before if there was one."""
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def away(self) -> None:
        """Hangs up, and listens no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.hang_up()
            self._server.server_close()
            self._server = None

    def trace(self, trace_id: str) -> list[Seen]:
        """Returns the spans of a trace, the first to begin first; its parent before one that began at the same time."""
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.start_ns)

    def named(self, trace_id: str, title: str) -> list[Seen]:
        """Returns the spans of a trace with a title, such as `gateway: preprocess`."""
        return [span for span in self.trace(trace_id) if span.title == title]

    def tree(self, trace_id: str, root_parent: str = "") -> list[Tree]:
        """Returns what stands below a parent in a trace, and what stands below that."""
        spans = self.trace(trace_id)
        return [(span.title, self.tree(trace_id, span.span_id)) for span in spans if span.parent_id == root_parent]

    def take(self, body: bytes, media_type: str) -> None:
        """Takes a message."""
        self.messages += 1
        if self.status == 200:
            self.spans += _from_protobuf(body) if media_type == PROTOBUF else _from_json(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends what idle clients keep open."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            collector.take(body, self.headers["Content-Type"])
            self.send_response(collector.status)
            self.send_header("Content-Type", PROTOBUF)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _from_protobuf(body: bytes) -> Iterator[Seen]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = {each.key: _value(each.value) for each in group.resource.attributes}
        for span in (span for scope in group.scope_spans for span in scope.spans):
            yield Seen(
                service=resource["service.name"],
                name=span.name,
                kind=span.kind,
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                start_ns=span.start_time_unix_nano,
                end_ns=span.end_time_unix_nano,
                attributes={each.key: _value(each.value) for each in span.attributes},
                events=[event.name for event in span.events],
                links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                status=span.status.code,
                status_text=span.status.message,
                resource=resource,
            )


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def _from_json(body: bytes) -> Iterator[Seen]:
    for group in json.loads(body)["resourceSpans"]:
        resource = {each["key"]: next(iter(each["value"].values())) for each in group["resource"]["attributes"]}
        for span in (span for scope in group["scopeSpans"] for span in scope["spans"]):
            yield Seen(
                service=resource["service.name"],
                name=span["name"],
                kind=span["kind"],
                trace_id=span["traceId"],
                span_id=span["spanId"],
                parent_id=span.get("parentSpanId", ""),
                start_ns=int(span["startTimeUnixNano"]),
                end_ns=int(span["endTimeUnixNano"]),
                attributes={each["key"]: next(iter(each["value"].values())) for each in span.get("attributes", [])},
                events=[event["name"] for event in span.get("events", [])],
                links=[],
                status=span.get("status", {}).get("code", 0),
                status_text="",
                resource=resource,
            )
