"""What the gateway counts of experiments."""

import functools
from collections.abc import Iterable

from prometheus_client import Counter, Gauge

REQUESTS = Counter(
    "triptych_experiment_requests",
    "Requests that were dealt an arm of an experiment that runs, by how they ended: `answered` by the arm's version, "
    "by another one as a `fallback`, `failed`, or `void` through the caller's own doing.",
    ("experiment", "arm", "outcome"),
)
UNKNOWN_LABELS = Counter("triptych_feedback_unknown_labels", "Labels that were taken though no model here has them.")
FALLBACKS = Counter(
    "triptych_version_fallbacks",
    "Requests given to another version than an experiment or a pin had chosen, because that one was `not_ready`, had "
    "`failed`, or had a `full` queue.",
    ("cause",),
)
NOT_READY, FAILED, FULL = (FALLBACKS.labels(cause) for cause in ("not_ready", "failed", "full"))
SHADOWS = Counter(
    "triptych_shadows",
    "Requests that a shadow `answered` or `failed`; those that load, a restart or the time left `unfinished`; and "
    "those that it was not shown because images were waiting (`shed_waiting`) or because as many were in work as may "
    "be (`shed_limit`).",
    ("outcome",),
)
ANSWERED, SHADOW_FAILED, UNFINISHED, SHED_WAITING, SHED_LIMIT = (
    SHADOWS.labels(outcome) for outcome in ("answered", "failed", "unfinished", "shed_waiting", "shed_limit")
)
EVIDENCE = Counter(
    "triptych_evidence",
    "Exposures, predictions and shadows' answers: `sent` to the experiments service; or dropped because the queue was "
    "`full`, because the service `refused` them, or because the process `ended`. Of pictures, those that were dropped.",
    ("kind", "outcome"),
)
DROPPED = [
    EVIDENCE.labels(kind, outcome)
    for kind in ("exposures", "predictions", "shadows")
    for outcome in ("full", "refused", "ended")
]
"""There from the start: Prometheus sees no rise of a series that does not begin at 0."""
QUEUE_BYTES = Gauge("triptych_evidence_queue_bytes", "Memory that evidence takes which waits to be sent.")
QUEUE_BYTES_LIMIT = Gauge("triptych_evidence_queue_bytes_limit", "Memory that it may take.")
POLLS = Counter(
    "triptych_routing_polls",
    "Questions to the experiments service what runs, by whether it said what was known (`same`), something new "
    "(`changed`), or nothing (`failed`).",
    ("outcome",),
)
SAME, CHANGED, POLL_FAILED = (POLLS.labels(outcome) for outcome in ("same", "changed", "failed"))
FAULTS = Counter("triptych_routing_faults", "Experiments and the like that came, made no sense, and were left out.")
REVISION = Gauge("triptych_routing_revision", "Revision of the routing in use; 0 before there is any.")
AGE = Gauge("triptych_routing_age_seconds", "Time since the experiments service last said what runs.")


@functools.lru_cache(maxsize=4096)
def _requests(experiment: str, arm: str, outcome: str) -> Counter:
    return REQUESTS.labels(experiment, arm, outcome)


def count_request(experiment: str, arm: str, outcome: str) -> None:
    """Counts a request that was dealt an arm."""
    _requests(experiment, arm, outcome).inc()


def forget(experiments: Iterable[str]) -> None:
    """Drops the series of experiments that have ended: over the years there would be many."""
    for experiment in experiments:
        REQUESTS.remove_by_labels({"experiment": experiment})
    _requests.cache_clear()
