"""What gets into the queue of evidence while nobody takes anything out."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.experiments.recorder import Recorder
from triptych.experiments.v1 import evidence_service_pb2 as pb

MAX_BYTES = 10_000


async def _send(_evidence: pb.RecordEvidenceRequest, _timeout_s: float) -> None:
    raise AssertionError("nobody runs it")


def _dropped(kind: str) -> float:
    return REGISTRY.get_sample_value("triptych_evidence_total", {"kind": kind, "outcome": "full"}) or 0.0


def _evidence(**prediction: Any) -> pb.RecordEvidenceRequest:
    return pb.RecordEvidenceRequest(exposures=[pb.Exposure(arm="a")], predictions=[pb.PredictionRecord(**prediction)])


@pytest.fixture
def recorder() -> Recorder:
    """A recorder that nobody empties."""
    return Recorder(_send, MAX_BYTES, 0.0)


def test_pictures_leave_room_for_what_verdicts_rest_on(recorder: Recorder) -> None:
    """They get in while the queue is less than half full; after that what they belong to does, without them."""
    before = {kind: _dropped(kind) for kind in ("pictures", "exposures", "predictions")}
    for _ in range(10):
        recorder.record(_evidence(image=b"x" * 2000))

    assert 8 == _dropped("pictures") - before["pictures"]
    assert (0, 0) == tuple(_dropped(kind) - before[kind] for kind in ("exposures", "predictions"))
    assert 4000 < recorder.size_bytes <= MAX_BYTES


def test_what_does_not_fit_is_dropped_and_counted(recorder: Recorder) -> None:
    """The bound holds whatever comes."""
    before = _dropped("predictions")
    for _ in range(100):
        recorder.record(_evidence(request_id="x" * 1000))

    assert 9 == 100 - (_dropped("predictions") - before)
    assert recorder.size_bytes <= MAX_BYTES
