"""What the gateway counts: requests, stages, batches, and which models are live."""

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
    "Time of each stage of an answer, as in its `timing`.",
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

STAGES = ("total", "preprocess", "decode", "inference", "queue", "compute", "postprocess")


def observe_stages(result: classification_pb2.Classification) -> None:
    """Records one answer's timing."""
    for stage in STAGES:
        seconds: float = getattr(result.timing, f"{stage}_ms") / 1e3
        STAGE_SECONDS.labels(stage, result.model, result.version).observe(seconds)


def show_models(models: Sequence[model_pb2.Model]) -> None:
    """Replaces the info series by what is live now."""
    MODEL_INFO.clear()
    for model in models:
        for version in model.versions:
            if version.state == model_pb2.MODEL_STATE_READY:
                MODEL_INFO.labels(model.name, version.version, version.backend, str(model.default).lower()).set(1)
