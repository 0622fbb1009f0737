"""RPC metrics in the names of go-grpc-prometheus, so that existing dashboards fit; labels are few by construction."""

from dataclasses import dataclass, field

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

BUCKETS_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
"""Edges of every duration histogram, in seconds; each SLO threshold lies on one."""

_METHOD = ("grpc_type", "grpc_service", "grpc_method")

MethodLabels = tuple[str, str, str]


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

    def method(self, labels: MethodLabels) -> "MethodMetrics":
        """Returns the metrics of one method."""
        return MethodMetrics(self, labels)


class MethodMetrics:
    """Counts and times the RPCs of one method, its labels looked up once."""

    def __init__(self, metrics: RpcMetrics, labels: MethodLabels) -> None:
        self._handled = metrics.handled
        self._labels = labels
        self._by_code: dict[str, Counter] = {}
        self._started = metrics.started.labels(*labels)
        self._seconds = metrics.seconds.labels(*labels)
        self.received = metrics.received.labels(*labels)
        self.sent = metrics.sent.labels(*labels)

    def begin(self) -> None:
        """Counts an RPC that begins."""
        self._started.inc()

    def end(self, code: str, seconds: float) -> None:
        """Counts and times an RPC that ended with `code`."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._handled.labels(*self._labels, code)
        counter.inc()
        self._seconds.observe(seconds)


def method_labels(full_method: str, *, streaming: bool = False) -> MethodLabels:
    """Splits `/package.Service/Method` into the labels of a metric."""
    _, service, method = full_method.split("/")
    return ("bidi_stream" if streaming else "unary", service, method)
