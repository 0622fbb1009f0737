"""Checks what gateways bring: what the database could not hold never gets as far as the journal. Pure."""

from servicekit.errors import InvalidArgument
from services.experiments.fields import (
    MAX_INDEX,
    check_label,
    check_length,
    check_range,
    check_text,
    check_time,
)
from triptych.experiments.v1 import evidence_service_pb2 as pb

NAME = 128
"""Characters that a column for a name holds."""
HASH_BYTES = 16
DIGEST_BYTES = 32
MAX_TOP = 5
MAX_INT = 2**31 - 1


def check_evidence(request: pb.RecordEvidenceRequest) -> None:
    """Checks what happened at a gateway.

    Raises:
        InvalidArgument: a field is missing or out of range.
    """
    for index, exposure in enumerate(request.exposures):
        _check_exposure(exposure, f"exposures[{index}]")
    for index, prediction in enumerate(request.predictions):
        _check_prediction(prediction, f"predictions[{index}]")
    for index, shadow in enumerate(request.shadows):
        _check_shadow(shadow, f"shadows[{index}]")


def _check_exposure(exposure: pb.Exposure, path: str) -> None:
    check_text(exposure.experiment, f"{path}.experiment", NAME, required=True)
    check_range(exposure.epoch, f"{path}.epoch", 0, MAX_INT)
    check_text(exposure.arm, f"{path}.arm", NAME, required=True)
    check_length(exposure.key_hash, f"{path}.key_hash", HASH_BYTES, required=True)


def _check_prediction(record: pb.PredictionRecord, path: str) -> None:
    check_text(record.prediction_id, f"{path}.prediction_id", NAME, required=True)
    check_text(record.request_id, f"{path}.request_id", NAME)
    check_text(record.tenant, f"{path}.tenant", NAME)
    check_time(record.time, f"{path}.time")
    check_text(record.model, f"{path}.model", NAME, required=True)
    check_text(record.version, f"{path}.version", NAME, required=True)
    _check_top(record, path)
    check_range(record.total_ms, f"{path}.total_ms", 0, 1e12)
    _check_part(record, path)
    _check_image(record, path)


def _check_top(record: pb.PredictionRecord, path: str) -> None:
    if len(record.top) > MAX_TOP:
        raise InvalidArgument(f"{path}.top has at most {MAX_TOP} classes.", field=f"{path}.top")
    for ranked in record.top:
        _check_ranked(ranked, f"{path}.top")


def _check_part(record: pb.PredictionRecord, path: str) -> None:
    """Checks which experiment it belongs to, and how likely it was to be logged."""
    check_text(record.experiment, f"{path}.experiment", NAME)
    check_range(record.epoch, f"{path}.epoch", 0, MAX_INT)
    check_text(record.arm, f"{path}.arm", NAME, required=bool(record.experiment))
    check_length(record.key_hash, f"{path}.key_hash", HASH_BYTES, required=bool(record.experiment))
    if not 0 < record.inclusion_probability <= 1:
        message = f"{path}.inclusion_probability must be above 0 and at most 1; it is {record.inclusion_probability:g}."
        raise InvalidArgument(message, field=f"{path}.inclusion_probability")


def _check_image(record: pb.PredictionRecord, path: str) -> None:
    check_length(record.image_digest, f"{path}.image_digest", DIGEST_BYTES)
    check_range(record.image_bytes, f"{path}.image_bytes", 0, 2**53)


def _check_shadow(shadow: pb.ShadowRecord, path: str) -> None:
    check_text(shadow.prediction_id, f"{path}.prediction_id", NAME, required=True)
    check_text(shadow.experiment, f"{path}.experiment", NAME, required=True)
    check_range(shadow.epoch, f"{path}.epoch", 0, MAX_INT)
    check_text(shadow.shadow, f"{path}.shadow", NAME, required=True)
    check_text(shadow.version, f"{path}.version", NAME, required=True)
    for name in ("first", "served"):
        if shadow.HasField(name):
            _check_ranked(getattr(shadow, name), f"{path}.{name}")
    check_range(shadow.total_ms, f"{path}.total_ms", 0, 1e12)


def _check_ranked(ranked: pb.RankedClass, path: str) -> None:
    check_range(ranked.index, f"{path}.index", 0, MAX_INDEX)
    check_label(ranked.label, f"{path}.label")
    check_range(ranked.score, f"{path}.score", 0, 1)
