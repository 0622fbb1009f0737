"""What the gateway counts: requests, stages, batches, and which models are live."""

import functools
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

from servicekit.metrics import BUCKETS_S
from triptych.classification.v1 import classification_pb2, model_pb2

REQUESTS = Counter("triptych_requests", "Requests to classify, by how they ended.", ("transport", "code", "reason"))
REQUEST_SECONDS = Histogram(
    "triptych_request_seconds", "Time from arrival to answer.", ("transport",), buckets=BUCKETS_S
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
MODEL_INFO = Gauge(
    "triptych_model_info", "1 for every version that takes requests.", ("model", "version", "backend", "default")
)
READY = Gauge("triptych_ready", "1 while a condition of readiness holds.", ("condition",))


def count_request(transport: str, code: str, reason: str, seconds: float) -> None:
    """Counts and times a request that has ended."""
    counter, histogram = _request(transport, code, reason)
    counter.inc()
    histogram.observe(seconds)


@functools.cache  # transports, codes and reasons are few
def _request(transport: str, code: str, reason: str) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(transport, code, reason), REQUEST_SECONDS.labels(transport)


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


def show_models(models: Sequence[model_pb2.Model]) -> None:
    """Replaces the info series by what is live now."""
    MODEL_INFO.clear()
    for model in models:
        for version in model.versions:
            if version.state == model_pb2.MODEL_STATE_READY:
                MODEL_INFO.labels(model.name, version.version, version.backend, str(model.default).lower()).set(1)
