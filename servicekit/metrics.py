"""RPC metrics in the names of go-grpc-prometheus, so that existing dashboards fit; labels are few by construction."""

from dataclasses import dataclass, field

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

BUCKETS_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
"""Edges of every duration histogram, in seconds; each SLO threshold lies on one."""

_METHOD = ("grpc_type", "grpc_service", "grpc_method")


@dataclass
class RpcMetrics:
    """Counts and times RPCs on one side of the wire, `server` or `client`."""

    side: str
    registry: CollectorRegistry = REGISTRY
    started: Counter = field(init=False)
    handled: Counter = field(init=False)
    seconds: Histogram = field(init=False)
    received: Counter = field(init=False)
    sent: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Registers the metrics; once per registry and side."""
        name = f"grpc_{self.side}"
        self.started = Counter(f"{name}_started", "RPCs begun.", _METHOD, registry=self.registry)
        self.handled = Counter(f"{name}_handled", "RPCs ended.", (*_METHOD, "grpc_code"), registry=self.registry)
        self.received = Counter(f"{name}_msg_received", "Messages received.", _METHOD, registry=self.registry)
        self.sent = Counter(f"{name}_msg_sent", "Messages sent.", _METHOD, registry=self.registry)
        text = "Time from begin to end of an RPC."
        self.seconds = Histogram(f"{name}_handling_seconds", text, _METHOD, buckets=BUCKETS_S, registry=self.registry)

    def begin(self, labels: tuple[str, str, str]) -> None:
        """Counts an RPC that begins."""
        self.started.labels(*labels).inc()

    def messages(self, labels: tuple[str, str, str]) -> tuple[Counter, Counter]:
        """Returns the counters of messages received and sent by a method."""
        return self.received.labels(*labels), self.sent.labels(*labels)

    def end(self, labels: tuple[str, str, str], code: str, seconds: float) -> None:
        """Counts and times an RPC that ended with `code`."""
        self.handled.labels(*labels, code).inc()
        self.seconds.labels(*labels).observe(seconds)


def method_labels(full_method: str, *, streaming: bool = False) -> tuple[str, str, str]:
    """Splits `/package.Service/Method` into the labels of a metric."""
    _, service, method = full_method.split("/")
    return ("bidi_stream" if streaming else "unary", service, method)
