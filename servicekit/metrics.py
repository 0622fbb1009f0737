"""RPC metrics in the names of go-grpc-prometheus, so that existing dashboards fit; labels are few by construction."""

import functools
import importlib.metadata
from dataclasses import dataclass, field

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from servicekit.cores import usable_cores

BUCKETS_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
"""Edges of every duration histogram, in seconds; each SLO threshold lies on one."""

DEADLINE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Edges of every histogram of the time that a caller still waits, in seconds."""

SHED = Counter(
    "triptych_shed",
    "Refused at once for lack of room, by the limit that was met: requests or connections at the gateway, images at "
    "`decode_queue`.",
    ("limit",),
)
_BUILD = Gauge("triptych_build_info", "1, with what the process is and its version.", ("process", "version"))
_CORES = Gauge("triptych_usable_cores", "CPU cores that the process may use.")
CERTIFICATE_EXPIRES = Gauge(
    "triptych_certificate_expires_timestamp_seconds",
    "When the certificate in use ends, in Unix time: `internal` among our processes, `edge` towards callers.",
    ("certificate",),
)

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
    deadline: Histogram = field(init=False)
    received: Counter = field(init=False)
    sent: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Registers the metrics; once per registry and side."""
        name = f"grpc_{self.side}"
        self.started = Counter(f"{name}_started", "RPCs begun.", _METHOD, registry=self.registry)
        self.handled = Counter(f"{name}_handled", "RPCs ended.", (*_METHOD, "grpc_code"), registry=self.registry)
        self.received = Counter(f"{name}_msg_received", "Messages received.", _METHOD, registry=self.registry)
        self.sent = Counter(f"{name}_msg_sent", "Messages sent.", _METHOD, registry=self.registry)
        self.seconds = self._histogram("handling_seconds", "Time from begin to end of an RPC.", BUCKETS_S)
        self.deadline = self._histogram(
            "deadline_seconds", "Time that was left when an RPC with a deadline began.", DEADLINE_BUCKETS_S
        )

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"grpc_{self.side}_{name}", text, _METHOD, buckets=buckets, registry=self.registry)

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
        self._deadline = metrics.deadline.labels(*labels)
        self.received = metrics.received.labels(*labels)
        self.sent = metrics.sent.labels(*labels)

    def begin(self, left_s: float | None) -> None:
        """Counts an RPC that begins, and takes note of the seconds until its deadline, if it has one."""
        self._started.inc()
        if left_s is not None:
            self._deadline.observe(left_s)

    def end(self, code: str, seconds: float) -> None:
        """Counts and times an RPC that ended with `code`."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._handled.labels(*self._labels, code)
        counter.inc()
        self._seconds.observe(seconds)


def method_labels(full_method: str, kind: str = "unary") -> MethodLabels:
    """Splits `/package.Service/Method` into the labels of a metric."""
    _, service, method = full_method.split("/")
    return (kind, service, method)


@functools.cache
def client_metrics() -> RpcMetrics:
    """Returns the process's own, for calls to neighbours."""
    return RpcMetrics("client")


def show_process(name: str) -> None:
    """Tells what this process is, which version of it, and how many cores it may use."""
    _BUILD.labels(name, importlib.metadata.version("triptych")).set(1)
    _CORES.set(usable_cores())
