"""Feedback as callers give it: what was right, by prediction id."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Literal, get_args

from triptych.experiments.v1 import feedback_service_pb2 as pb

FEEDBACK_PER_CALL = 1000
MAX_LABEL_INDEX = 1_000_000
FeedbackSource = Literal["user", "annotator", "system"]
"""Who gives feedback. Where several do, an annotator's word holds, else a system's, else a user's."""

_SOURCES = get_args(FeedbackSource)


@dataclass(frozen=True, slots=True)
class Feedback:
    """Is what somebody says was right about one answer: a label by name or by index.

    Raises:
        ValueError: there is no prediction id, not exactly one of `label` and `label_index`, or another field is wrong.
    """

    prediction_id: str
    """`Classification.prediction_id` of the answer."""
    label: str | None = None
    """Name of the right class, as in the model's labels."""
    label_index: int | None = None
    """Index of the right class in the model's labels."""
    source: FeedbackSource = "user"
    feedback_id: str = ""
    """Names this feedback: the same id again is a repeat. Empty: the same label from the same source is one."""
    time: datetime | None = None
    """When it was said, with a time zone; None means now."""

    def __post_init__(self) -> None:
        if not self.prediction_id:
            raise ValueError("prediction_id must not be empty.")
        if (self.label is None) == (self.label_index is None):
            raise ValueError("Give either label or label_index.")
        if self.label == "":
            raise ValueError("label must not be empty.")
        if self.label_index is not None and not 0 <= self.label_index <= MAX_LABEL_INDEX:
            raise ValueError(f"label_index must be from 0 to {MAX_LABEL_INDEX}, not {self.label_index}.")
        if self.source not in _SOURCES:
            raise ValueError(f"source must be one of {', '.join(_SOURCES)}, not {self.source!r}.")
        if self.time is not None and self.time.tzinfo is None:
            raise ValueError("time needs a time zone, such as datetime.now(UTC) has.")

    def to_proto(self) -> pb.Feedback:
        """Builds the message."""
        message = pb.Feedback(
            prediction_id=self.prediction_id,
            label=self.label,
            label_index=self.label_index,
            source=f"FEEDBACK_SOURCE_{self.source.upper()}",
            feedback_id=self.feedback_id,
        )
        if self.time is not None:
            message.time.FromDatetime(self.time)
        return message


def feedback_requests(feedback: Iterable[Feedback]) -> Iterator[pb.SubmitFeedbackRequest]:
    """Yields the messages to send, with as many as one may hold."""
    rest = iter(feedback)
    while page := [each.to_proto() for each in islice(rest, FEEDBACK_PER_CALL)]:
        yield pb.SubmitFeedbackRequest(feedback=page)
