"""What gateways and callers bring to the experiments service."""

import itertools
from collections.abc import Iterable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from services.experiments.frames import Entry, Kind
from triptych.experiments.v1 import evidence_service_pb2 as pb
from triptych.experiments.v1 import experiment_pb2, feedback_service_pb2

USER = feedback_service_pb2.FEEDBACK_SOURCE_USER
ANNOTATOR = feedback_service_pb2.FEEDBACK_SOURCE_ANNOTATOR
SYSTEM = feedback_service_pb2.FEEDBACK_SOURCE_SYSTEM
NAMES = ["tabby", "tiger cat", "red fox", "lynx"]
"""Of the classes that the tests know, by index."""
EXPERIMENT = experiment_pb2.Experiment(
    name="colours",
    model="lite",
    epoch=2,
    arms=[
        experiment_pb2.Arm(name="control", version="1", weight=1),
        experiment_pb2.Arm(name="bold", version="2", weight=1),
        experiment_pb2.Arm(name="shy", version="3", weight=1),
    ],
    shadows=[experiment_pb2.Shadow(name="int8", version="4", share=1)],
)
"""Is compared in these tests."""
_positions = itertools.count(1)


def at(seconds: float) -> Timestamp:
    """Returns a time of 2020."""
    time = Timestamp()
    time.FromMicroseconds(1_577_836_800_000_000 + int(seconds * 1e6))
    return time


def ranked(index: int, score: float = 0.5) -> pb.RankedClass:
    """Returns a class with its name."""
    return pb.RankedClass(index=index, label=NAMES[index], score=score)


def key(number: int) -> bytes:
    """Returns the hash of a key."""
    return number.to_bytes(16, "big")


def exposure(number: int, arm: str = "control", **values: Any) -> pb.Exposure:
    """Returns that a key was dealt an arm."""
    known = {"experiment": EXPERIMENT.name, "epoch": EXPERIMENT.epoch}
    return pb.Exposure(**{**known, "arm": arm, "key_hash": key(number), **values})


def prediction(name: str, first: int | None = 0, **values: Any) -> pb.PredictionRecord:
    """Returns an answer outside every experiment."""
    known = {
        "prediction_id": name,
        "request_id": "request",
        "time": at(0),
        "model": "lite",
        "version": "1",
        "top": [] if first is None else [ranked(first, 0.75), ranked((first + 1) % len(NAMES), 0.25)],
        "inclusion_probability": 1.0,
        "total_ms": 5.0,
    }
    return pb.PredictionRecord(**{**known, **values})


def dealt(name: str, number: int, arm: str = "control", first: int | None = 0, **values: Any) -> pb.PredictionRecord:
    """Returns an answer in the experiment."""
    known = {"experiment": EXPERIMENT.name, "epoch": EXPERIMENT.epoch}
    return prediction(name, first, **{**known, "arm": arm, "key_hash": key(number), **values})


def shadowed(name: str, first: int | None, served: int | None, **values: Any) -> pb.ShadowRecord:
    """Returns what the shadow answered."""
    known = {
        "experiment": EXPERIMENT.name,
        "epoch": EXPERIMENT.epoch,
        "shadow": "int8",
        "version": "4",
        "total_ms": 9.0,
    }
    record = pb.ShadowRecord(**{**known, "prediction_id": name, **values})
    for field, index in (("first", first), ("served", served)):
        if index is not None:
            getattr(record, field).CopyFrom(ranked(index))
    return record


def said(name: str, label: int | str, **values: Any) -> feedback_service_pb2.Feedback:
    """Returns feedback, by index or by name."""
    field = "label" if isinstance(label, str) else "label_index"
    return feedback_service_pb2.Feedback(**{"prediction_id": name, field: label, **values})


def feedback(*items: feedback_service_pb2.Feedback) -> feedback_service_pb2.SubmitFeedbackRequest:
    """Returns a request that brings it."""
    return feedback_service_pb2.SubmitFeedbackRequest(feedback=items)


def deletion(*names: str, actor: str = "", reason: str = "") -> feedback_service_pb2.DeletePredictionsRequest:
    """Returns a request to forget predictions."""
    return feedback_service_pb2.DeletePredictionsRequest(prediction_ids=names, actor=actor, reason=reason)


def evidence(*records: pb.Exposure | pb.PredictionRecord | pb.ShadowRecord) -> pb.RecordEvidenceRequest:
    """Returns a message that brings records of any kind."""
    request = pb.RecordEvidenceRequest()
    for record in records:
        match record:
            case pb.Exposure():
                request.exposures.append(record)
            case pb.PredictionRecord():
                request.predictions.append(record)
            case _:
                request.shadows.append(record)
    return request


def entry(message: Any, hour: int = 0) -> Entry:
    """Returns a request as the journal gives it back, of an hour of 2020; each comes a millisecond after the last."""
    kind = {
        pb.RecordEvidenceRequest: Kind.EVIDENCE,
        feedback_service_pb2.SubmitFeedbackRequest: Kind.FEEDBACK,
        feedback_service_pb2.DeletePredictionsRequest: Kind.DELETION,
    }[type(message)]
    position = next(_positions)
    return Entry(
        kind, at(3600 * hour + position / 1000).ToMicroseconds(), message.SerializeToString(), position, position + 1
    )


def entries(messages: Iterable[Any], hour: int = 0) -> list[Entry]:
    """Returns requests in this order, that came in an hour of 2020."""
    return [entry(each, hour) for each in messages]
