"""What the gateway counts: requests, stages, batches, and which models are live."""

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.coalescer import Coalescer
from servicekit.metrics import BUCKETS_S, DEADLINE_BUCKETS_S, SHED
from triptych.classification.v1 import classification_pb2, model_pb2

REQUESTS = Counter(
    "triptych_requests",
    "Requests to classify, by how they ended; DEADLINE_SHORT are late ones whose callers gave less than half a second.",
    ("transport", "code", "reason"),
)
REQUEST_SECONDS = Histogram(
    "triptych_request_seconds",
    "Time from arrival to answer, of requests that were answered (`ok`) and of those that were not.",
    ("transport", "outcome"),
    buckets=BUCKETS_S,
)
REQUEST_DEADLINE_SECONDS = Histogram(
    "triptych_request_deadline_seconds",
    "Time that the caller would wait when a request began.",
    ("transport",),
    buckets=DEADLINE_BUCKETS_S,
)
HTTP_REQUESTS = Counter(
    "triptych_http_requests",
    "HTTP requests by route and status; `none` are connections refused before a request was known, 499 left ones.",
    ("route", "status"),
)
STAGE_SECONDS = Histogram(
    "triptych_stage_seconds",
    "Time of each stage, as in an answer's `timing`: decode per image, the others per call.",
    ("stage", "model", "version"),
    buckets=BUCKETS_S,
)
BATCH_IMAGES = Histogram(
    "triptych_batch_images", "Images per message to a service.", ("tier",), buckets=(1, 2, 4, 8, 16, 32, 64)
)
IN_FLIGHT = Gauge("triptych_in_flight_images", "Images in work.")
IN_FLIGHT_LIMIT = Gauge("triptych_in_flight_images_limit", "Images that may be in work.")
SHED_IN_FLIGHT = SHED.labels("in_flight_images")
SHED_CONNECTIONS = SHED.labels("http_connections")
SHED_BODIES = SHED.labels("http_body_bytes")
HOP_WAIT_SECONDS = Histogram(
    "triptych_hop_wait_seconds",
    "Time that the first image of a message to a service waited for it to leave.",
    ("tier",),
    buckets=BUCKETS_S,
)
_HOP_WAITING = Gauge("triptych_hop_waiting_images", "Images that wait for a message to a service.", ("tier",))
_HOP_OLDEST = Gauge("triptych_hop_oldest_wait_seconds", "Time that the first of them has waited by now.", ("tier",))
_HOP_MESSAGES = Gauge("triptych_hop_messages", "Messages under way to a service, less those that take long.", ("tier",))
RETRIES = Counter(
    "triptych_gateway_retries",
    "What became of calls that met a service going away: sent again, and it `succeeded` or `failed`; or not, because "
    "it was `not_back` in time, or because there was `no_budget`.",
    ("tier", "outcome"),
)
RETRY_BUDGET = Gauge("triptych_gateway_retry_budget", "Second attempts that may be made now.", ("tier",))
READY = Gauge("triptych_ready", "1 while a condition of readiness holds.", ("condition",))


def count_request(transport: str, code: str, reason: str, seconds: float) -> None:
    """Counts and times a request that has ended; `reason` is that of its error, or `DEADLINE_SHORT`."""
    counter, histogram = _request(transport, code, reason)
    counter.inc()
    histogram.observe(seconds)


@functools.cache  # transports, codes and reasons are few
def _request(transport: str, code: str, reason: str) -> tuple[Counter, Histogram]:
    seconds = REQUEST_SECONDS.labels(transport, "ok" if code == "OK" else "error")
    return REQUESTS.labels(transport, code, reason), seconds


def observe_deadline(transport: str, left_s: float) -> None:
    """Takes note of how long the caller of a request that begins would wait."""
    if left_s < math.inf:
        _deadline(transport).observe(left_s)


@functools.cache
def _deadline(transport: str) -> Histogram:
    return REQUEST_DEADLINE_SECONDS.labels(transport)


API = "/api/v1"
MODELS, EXPERIMENTS, PREDICTIONS = f"{API}/models", f"{API}/experiments", f"{API}/predictions"
_ITEMS = {MODELS: "{model}", EXPERIMENTS: "{name}", PREDICTIONS: "{prediction_id}"}
"""Where the next part of the path is a name that callers choose."""
_OF_ONE = ("start", "weights", "stop", "promote", "verdicts", "verdicts/history", "decisions")
ROUTES = frozenset(
    {
        *(f"{API}/{name}" for name in ("classify", "models", "feedback", "experiments", "decisions", "holdout")),
        *(f"{collection}/{item}" for collection, item in _ITEMS.items()),
        *(f"{EXPERIMENTS}/{{name}}/{what}" for what in _OF_ONE),
        f"{MODELS}/{{model}}/pin",
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs",
        "/openapi.json",
    }
)


def count_http(path: str | None, status: int) -> None:
    """Counts an HTTP request that has ended; None is a connection refused before its path was known."""
    _http("none" if path is None else _route(path), status).inc()


def _route(path: str) -> str:
    """Returns the route of a path; callers choose paths, and series must stay few."""
    if path in ROUTES:
        return path
    parts = path.split("/", 5)
    item = _ITEMS.get("/".join(parts[:4])) if len(parts) > 4 else None
    route = "/".join((*parts[:4], item, *parts[5:])) if item else ""
    return route if route in ROUTES else "other"


@functools.cache
def _http(route: str, status: int) -> Counter:
    return HTTP_REQUESTS.labels(route, status)


STAGES = ("total", "preprocess", "decode", "inference", "queue", "compute", "postprocess")


def observe_stages(results: Sequence[classification_pb2.Classification]) -> None:
    """Records a call's timing: what its images share once, and the decoding of each."""
    first = results[0]
    for stage, histogram in _stages(first.model, first.version):
        for result in results if stage == "decode_ms" else results[:1]:
            histogram.observe(getattr(result.timing, stage) / 1e3)


@functools.cache  # there are as many as versions; looking labels up costs as much as observing
def _stages(model: str, version: str) -> list[tuple[str, Histogram]]:
    return [(f"{stage}_ms", STAGE_SECONDS.labels(stage, model, version)) for stage in STAGES]


class _ModelInfo(Collector):
    """Shows what is live at the moment of a scrape, which comes from another thread."""

    models: Sequence[model_pb2.Model] = ()

    def collect(self) -> Iterable[Metric]:
        """Returns a series per version that takes requests."""
        labels = ("model", "version", "backend", "default")
        family = GaugeMetricFamily("triptych_model_info", "1 for every version that takes requests.", labels=labels)
        for model in self.models:
            for version in model.versions:
                if version.state == model_pb2.MODEL_STATE_READY:
                    family.add_metric([model.name, version.version, version.backend, str(model.default).lower()], 1)
        return [family]


_MODEL_INFO = _ModelInfo()
REGISTRY.register(_MODEL_INFO)


def show_models(models: Sequence[model_pb2.Model]) -> None:
    """Replaces the info series by what is live now."""
    _MODEL_INFO.models = models


def show_queue(tier: str, coalescer: Coalescer[Any, Any, Any]) -> None:
    """Shows what waits for a service, as it is at the moment of a scrape."""
    _HOP_WAITING.labels(tier).set_function(coalescer.waiting)
    _HOP_OLDEST.labels(tier).set_function(coalescer.oldest_s)
    _HOP_MESSAGES.labels(tier).set_function(coalescer.under_way)
