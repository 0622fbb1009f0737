"""Feedback: what a caller may say, and how it is sent."""

from datetime import UTC, datetime
from typing import Any

import pytest

from triptych import Feedback
from triptych.client.calls import Asker
from triptych.client.feedback import feedback_requests
from triptych.experiments.v1 import feedback_service_pb2 as pb


def test_everything_said_is_sent() -> None:
    """Each field has its place in the message."""
    time = datetime(2026, 1, 31, 12, tzinfo=UTC)
    sent = Feedback("p", label_index=0, source="annotator", feedback_id="f", time=time).to_proto()
    assert ("p", "label_index", 0, "f") == (
        sent.prediction_id,
        sent.WhichOneof("truth"),
        sent.label_index,
        sent.feedback_id,
    )
    assert (pb.FEEDBACK_SOURCE_ANNOTATOR, time) == (sent.source, sent.time.ToDatetime(tzinfo=UTC))


def test_a_user_says_it_now_unless_told_otherwise() -> None:
    """Without more there is a label, and no time."""
    sent = Feedback("p", "tabby").to_proto()
    assert ("tabby", pb.FEEDBACK_SOURCE_USER, False) == (sent.label, sent.source, sent.HasField("time"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"prediction_id": "", "label": "x"}, "prediction_id"),
        ({"prediction_id": "p"}, "either label or label_index"),
        ({"prediction_id": "p", "label": "x", "label_index": 1}, "either label or label_index"),
        ({"prediction_id": "p", "label": ""}, "label must not be empty"),
        ({"prediction_id": "p", "label_index": -1}, "from 0 to 1000000"),
        ({"prediction_id": "p", "label": "x", "source": "king"}, "user, annotator, system"),
        ({"prediction_id": "p", "label": "x", "time": datetime(2026, 1, 31)}, "time zone"),  # noqa: DTZ001 (the point)
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], said: str) -> None:
    """It never leaves the caller."""
    with pytest.raises(ValueError, match=said):
        Feedback(**values)


def test_calls_hold_a_thousand() -> None:
    """What is more goes into the next call; nothing makes none."""
    many = (Feedback(str(number), "x") for number in range(2001))
    assert [1000, 1000, 1] == [len(request.feedback) for request in feedback_requests(many)]
    assert [] == list(feedback_requests([]))


def test_who_asks_travels_as_metadata() -> None:
    """The route key and the tenant are sent where they are given."""
    keys = dict(Asker("mine", route_key="ann", tenant="acme").metadata)
    assert {"x-request-id": "mine", "x-route-key": "ann", "x-tenant": "acme"} == keys
    assert ["x-request-id"] == [key for key, _ in Asker().metadata]


@pytest.mark.parametrize("values", [{"route_key": "ä"}, {"tenant": "a\nb"}, {"request_id": "ü"}])
def test_what_metadata_cannot_hold_is_refused(values: dict[str, str]) -> None:
    """A sentence names the argument, where gRPC would fail in its own words."""
    with pytest.raises(ValueError, match=f"{next(iter(values))} must consist of printable ASCII"):
        Asker(**values)
