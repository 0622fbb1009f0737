"""What is refused, field by field."""

from collections.abc import Callable
from typing import Any

import pytest
from fakes.evidence import at, dealt, deletion, evidence, exposure, feedback, prediction, said, shadowed

from servicekit.errors import InvalidArgument, Reason
from services.experiments.evidence_checks import check_evidence
from services.experiments.feedback_checks import check_deletion, check_export, check_feedback
from triptych.experiments.v1 import evidence_service_pb2 as pb
from triptych.experiments.v1 import feedback_service_pb2

NOW_S = 2_000_000_000
SHADOW: Any = {"prediction_id": "p", "experiment": "colours", "shadow": "int8", "version": "4"}
GOOD = said("p", 3, source=2, feedback_id="mine", time=at(0))


def _refused(check: Callable[..., None], *arguments: Any) -> tuple[str, Reason]:
    with pytest.raises(InvalidArgument) as caught:
        check(*arguments)
    assert caught.value.message.endswith(".")
    assert caught.value.field.split("[")[0].split(".")[0] in caught.value.message
    return caught.value.field, caught.value.reason


def test_good_requests_are_taken() -> None:
    """At their limits, too."""
    many = [said("x" * 64, 1_000_000), said("p", "é" * 256), GOOD, *[GOOD] * 997]
    check_feedback(feedback(*many), NOW_S)
    check_deletion(deletion(*["p"] * 1000))
    check_export(feedback_service_pb2.ExportFeedbackRequest(model="lite", since=at(0)))
    check_evidence(evidence(exposure(1), prediction("p", None), dealt("q", 1), shadowed("q", 1, None)))


@pytest.mark.parametrize(
    ("item", "field", "reason"),
    [
        (said("", 1), "prediction_id", Reason.FIELD_MISSING),
        (said("x" * 65, 1), "prediction_id", Reason.FIELD_INVALID),
        (said("a\nb", 1), "prediction_id", Reason.FIELD_INVALID),
        (feedback_service_pb2.Feedback(prediction_id="p"), "label", Reason.FIELD_MISSING),
        (said("p", ""), "label", Reason.FIELD_MISSING),
        (said("p", "x" * 257), "label", Reason.FIELD_INVALID),
        (said("p", "a\0b"), "label", Reason.FIELD_INVALID),
        (said("p", -1), "label_index", Reason.FIELD_INVALID),
        (said("p", 1_000_001), "label_index", Reason.FIELD_INVALID),
        (said("p", 1, source=7), "source", Reason.FIELD_INVALID),
        (said("p", 1, feedback_id="x" * 65), "feedback_id", Reason.FIELD_INVALID),
        (said("p", 1, feedback_id="\x07"), "feedback_id", Reason.FIELD_INVALID),
        (said("p", 1, time={"seconds": -1}), "time", Reason.FIELD_INVALID),
        (said("p", 1, time={"nanos": 10**9}), "time", Reason.FIELD_INVALID),
        (said("p", 1, time={"seconds": NOW_S + 86_401}), "time", Reason.FIELD_INVALID),
    ],
)
def test_feedback_is_refused_by_field(item: feedback_service_pb2.Feedback, field: str, reason: Reason) -> None:
    """The error says which item of the batch it is."""
    assert (f"feedback[1].{field}", reason) == _refused(check_feedback, feedback(GOOD, item), NOW_S)


def test_requests_bring_something_and_not_too_much() -> None:
    """1 to 1000 items."""
    assert ("feedback", Reason.FIELD_MISSING) == _refused(check_feedback, feedback(), NOW_S)
    assert ("feedback", Reason.FIELD_INVALID) == _refused(check_feedback, feedback(*[GOOD] * 1001), NOW_S)
    assert ("prediction_ids", Reason.FIELD_MISSING) == _refused(check_deletion, deletion())
    assert ("prediction_ids", Reason.FIELD_INVALID) == _refused(check_deletion, deletion(*["p"] * 1001))
    assert ("prediction_ids[1]", Reason.FIELD_MISSING) == _refused(check_deletion, deletion("p", ""))


def test_an_export_is_asked_for_within_bounds() -> None:
    """Of a model whose name there may be, since a time that there is."""
    request = feedback_service_pb2.ExportFeedbackRequest
    assert ("model", Reason.FIELD_INVALID) == _refused(check_export, request(model="x" * 129))
    assert ("since", Reason.FIELD_INVALID) == _refused(check_export, request(since={"seconds": 10**12}))


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (exposure(1, experiment=""), "exposures[0].experiment"),
        (exposure(1, experiment="x" * 129), "exposures[0].experiment"),
        (exposure(1, epoch=-1), "exposures[0].epoch"),
        (exposure(1, ""), "exposures[0].arm"),
        (exposure(1, key_hash=b"short"), "exposures[0].key_hash"),
        (exposure(1, key_hash=b""), "exposures[0].key_hash"),
        (prediction(""), "predictions[0].prediction_id"),
        (prediction("x" * 129), "predictions[0].prediction_id"),
        (prediction("p", request_id="x" * 129), "predictions[0].request_id"),
        (prediction("p", tenant="a\0"), "predictions[0].tenant"),
        (prediction("p", time={"seconds": -5}), "predictions[0].time"),
        (prediction("p", model=""), "predictions[0].model"),
        (prediction("p", version=""), "predictions[0].version"),
        (prediction("p", top=[pb.RankedClass()] * 6), "predictions[0].top"),
        (prediction("p", top=[pb.RankedClass(index=-1)]), "predictions[0].top.index"),
        (prediction("p", top=[pb.RankedClass(label="x" * 257)]), "predictions[0].top.label"),
        (prediction("p", top=[pb.RankedClass(score=float("nan"))]), "predictions[0].top.score"),
        (prediction("p", total_ms=-1), "predictions[0].total_ms"),
        (prediction("p", total_ms=float("inf")), "predictions[0].total_ms"),
        (prediction("p", experiment="x"), "predictions[0].arm"),
        (prediction("p", experiment="x", arm="a"), "predictions[0].key_hash"),
        (prediction("p", epoch=-1), "predictions[0].epoch"),
        (prediction("p", inclusion_probability=0), "predictions[0].inclusion_probability"),
        (prediction("p", inclusion_probability=1.5), "predictions[0].inclusion_probability"),
        (prediction("p", image_digest=b"short"), "predictions[0].image_digest"),
        (prediction("p", image_bytes=-1), "predictions[0].image_bytes"),
        (shadowed("", 1, 1), "shadows[0].prediction_id"),
        (shadowed("p", 1, 1, experiment=""), "shadows[0].experiment"),
        (shadowed("p", 1, 1, epoch=-1), "shadows[0].epoch"),
        (shadowed("p", 1, 1, shadow=""), "shadows[0].shadow"),
        (shadowed("p", 1, 1, version=""), "shadows[0].version"),
        (pb.ShadowRecord(**SHADOW, first={"index": -1}), "shadows[0].first.index"),
        (pb.ShadowRecord(**SHADOW, served={"score": 2}), "shadows[0].served.score"),
        (shadowed("p", 1, 1, total_ms=float("nan")), "shadows[0].total_ms"),
    ],
)
def test_evidence_is_refused_by_field(record: Any, field: str) -> None:
    """What the database could not hold does not get as far as the journal."""
    assert field == _refused(check_evidence, evidence(record))[0]
