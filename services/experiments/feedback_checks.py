"""Checks requests about feedback against what the contract says of every field. Pure."""

from collections.abc import Collection

from servicekit.errors import InvalidArgument
from services.experiments.fields import (
    MAX_INDEX,
    check_label,
    check_range,
    check_text,
    check_time,
    missing,
)
from services.experiments.requests import actor_of, reason_of
from triptych.experiments.v1 import feedback_service_pb2 as pb

MAX_ITEMS = 1000
MAX_ID = 64
DAY_S = 24 * 60 * 60


def check_feedback(request: pb.SubmitFeedbackRequest, now_s: int) -> None:
    """Checks labels.

    Raises:
        InvalidArgument: a field is missing or out of range.
    """
    _check_count(request.feedback, "feedback")
    for index, feedback in enumerate(request.feedback):
        _check_item(feedback, f"feedback[{index}]", now_s)


def check_deletion(request: pb.DeletePredictionsRequest) -> None:
    """Checks the wish that predictions be forgotten.

    Raises:
        InvalidArgument: a field is missing or out of range.
    """
    _check_count(request.prediction_ids, "prediction_ids")
    for index, prediction_id in enumerate(request.prediction_ids):
        check_text(prediction_id, f"prediction_ids[{index}]", MAX_ID, required=True)
    actor_of(request.actor)
    reason_of(request.reason)


def check_export(request: pb.ExportFeedbackRequest) -> None:
    """Checks what is asked for.

    Raises:
        InvalidArgument: a field is out of range.
    """
    check_text(request.model, "model", 128)
    check_time(request.since, "since")


def _check_count(items: Collection[object], field: str) -> None:
    if not items:
        raise missing(field)
    if len(items) > MAX_ITEMS:
        message = f"A request may bring at most {MAX_ITEMS} {field}; this one brings {len(items)}. Send several."
        raise InvalidArgument(message, field=field)


def _check_item(feedback: pb.Feedback, path: str, now_s: int) -> None:
    check_text(feedback.prediction_id, f"{path}.prediction_id", MAX_ID, required=True)
    _check_truth(feedback, path)
    if feedback.source not in pb.FeedbackSource.values():
        raise InvalidArgument(f"{path}.source is {feedback.source}, which is no source.", field=f"{path}.source")
    check_text(feedback.feedback_id, f"{path}.feedback_id", MAX_ID)
    # The last label holds: one from a clock far ahead would hold against every correction.
    check_time(feedback.time, f"{path}.time", now_s + DAY_S)


def _check_truth(feedback: pb.Feedback, path: str) -> None:
    match feedback.WhichOneof("truth"):
        case "label_index":
            check_range(feedback.label_index, f"{path}.label_index", 0, MAX_INDEX)
        case "label" if feedback.label:
            check_label(feedback.label, f"{path}.label")
        case _:
            message = "exactly one of label_index and label is required, and not empty"
            error = missing(f"{path}.label")
            raise InvalidArgument(f"In {path}, {message}.", reason=error.reason, field=error.field)
