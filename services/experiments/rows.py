"""What entries of the journal become in the tables. Pure."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.experiments.feedback import Statement
from services.experiments.fields import microseconds
from services.experiments.frames import Entry, Kind
from services.experiments.requests import NOBODY
from services.experiments.transitions import Deed
from triptych.experiments.v1 import evidence_service_pb2, feedback_service_pb2

Row = dict[str, Any]
HOUR_US = 3_600_000_000
"""Of the clock: in each, the first outcome of a key counts once more, so that a version that breaks late is seen."""
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(slots=True)
class Rows:
    """Are the rows of several entries, by table; their order does not matter but for labels."""

    exposures: dict[tuple[str, int, bytes], Row] = field(default_factory=dict)
    """By key, since each counts once."""
    outcomes: dict[tuple[int, str, int, bytes], Row] = field(default_factory=dict)
    """By hour and key, since each counts once in each hour."""
    predictions: list[Row] = field(default_factory=list)
    shadows: list[Row] = field(default_factory=list)
    images: list[Row] = field(default_factory=list)
    labels: list[tuple[Statement, bool]] = field(default_factory=list)
    """With whether its source gave it an id."""
    forgotten: list[Row] = field(default_factory=list)
    deletions: list[Deed] = field(default_factory=list)
    """Who wanted that, for the log of decisions."""


def to_rows(entries: Iterable[Entry], journal: str, image_ttl_us: int) -> Rows:
    """Returns what entries become.

    Args:
        entries: as they were taken.
        journal: name of the journal: with the position it makes the ids of labels that came without one, so that
            whoever applies an entry again makes the same ones.
        image_ttl_us: how long images are kept.
    """
    rows = Rows()
    for entry in entries:
        match entry.kind:
            case Kind.EVIDENCE:
                _add_evidence(rows, entry, image_ttl_us)
            case Kind.FEEDBACK:
                rows.labels.extend(_statements(entry, journal))
            case Kind.DELETION:
                request = feedback_service_pb2.DeletePredictionsRequest.FromString(entry.payload)
                rows.forgotten.extend(
                    {"prediction_id": each, "time_us": entry.time_us} for each in request.prediction_ids
                )
                rows.deletions.append(_deletion(request, entry.time_us))
    return rows


def _deletion(request: feedback_service_pb2.DeletePredictionsRequest, time_us: int) -> Deed:
    """Returns who forgot how many predictions: which ones is forgotten, too."""
    facts = {"predictions": len(set(request.prediction_ids))}
    return Deed(time_us, "forget", request.actor or NOBODY, request.reason, facts)


def _add_evidence(rows: Rows, entry: Entry, image_ttl_us: int) -> None:
    request = evidence_service_pb2.RecordEvidenceRequest.FromString(entry.payload)
    for exposure in request.exposures:
        _add_exposure(rows.exposures, exposure, entry.time_us)
        if not exposure.void:
            _add_outcome(rows.outcomes, exposure, entry.time_us // HOUR_US)
    for record in request.predictions:
        rows.predictions.append(_prediction(record))
        if content := record.image:
            expires_us = entry.time_us + image_ttl_us
            rows.images.append({"prediction_id": record.prediction_id, "content": content, "expires_us": expires_us})
    rows.shadows.extend(_shadow(record, entry.time_us) for record in request.shadows)


def _add_exposure(
    exposures: dict[tuple[str, int, bytes], Row], exposure: evidence_service_pb2.Exposure, time_us: int
) -> None:
    """Keeps of each key the first request that says something of the version, or else the first one."""
    key = exposure.experiment, exposure.epoch, exposure.key_hash
    known = exposures.get(key)
    if known is None:
        known = exposures[key] = {
            "experiment": exposure.experiment,
            "epoch": exposure.epoch,
            "key_hash": exposure.key_hash,
            "arm": exposure.arm,
            "failed": None,
            "slow": None,
            "time_us": time_us,
        }
    if known["failed"] is None and not exposure.void:
        known.update(failed=exposure.failed, slow=exposure.slow)


def _add_outcome(
    outcomes: dict[tuple[int, str, int, bytes], Row], exposure: evidence_service_pb2.Exposure, hour: int
) -> None:
    key = hour, exposure.experiment, exposure.epoch, exposure.key_hash
    if key not in outcomes:
        outcomes[key] = {
            "hour": hour,
            "experiment": exposure.experiment,
            "epoch": exposure.epoch,
            "key_hash": exposure.key_hash,
            "arm": exposure.arm,
            "failed": exposure.failed,
            "slow": exposure.slow,
        }


def _prediction(record: evidence_service_pb2.PredictionRecord) -> Row:
    top = [[each.index, each.label, each.score] for each in record.top]
    return {
        "prediction_id": record.prediction_id,
        "request_id": record.request_id,
        "tenant": record.tenant,
        "time_us": microseconds(record.time),
        "model": record.model,
        "version": record.version,
        "first_index": top[0][0] if top else None,
        "first_label": top[0][1] if top else None,
        "top": _to_json(top),
        "experiment": record.experiment,
        "epoch": record.epoch,
        "arm": record.arm,
        "key_hash": record.key_hash or None,
        "fallback": record.fallback,
        "inclusion_probability": record.inclusion_probability,
        "image_digest": record.image_digest or None,
        "image_bytes": record.image_bytes,
        "total_ms": record.total_ms,
        "cached": record.cached,
    }


def _shadow(record: evidence_service_pb2.ShadowRecord, time_us: int) -> Row:
    first = record.first if record.HasField("first") else None
    served = record.served if record.HasField("served") else None
    agrees = first is not None and served is not None and first.index == served.index
    return {
        "prediction_id": record.prediction_id,
        "experiment": record.experiment,
        "shadow": record.shadow,
        "epoch": record.epoch,
        "version": record.version,
        "first_index": first.index if first else None,
        "first_label": first.label if first else None,
        "agrees": agrees if served is not None else None,
        "total_ms": record.total_ms,
        "time_us": time_us,
    }


def _statements(entry: Entry, journal: str) -> Iterator[tuple[Statement, bool]]:
    feedback: Sequence[feedback_service_pb2.Feedback]
    feedback = feedback_service_pb2.SubmitFeedbackRequest.FromString(entry.payload).feedback
    for index, each in enumerate(feedback):
        received_us = entry.time_us + index
        statement = Statement(
            feedback_id=each.feedback_id or f"{journal}/{entry.start}/{index}",
            prediction_id=each.prediction_id,
            label_index=each.label_index if each.HasField("label_index") else None,
            label=each.label if each.HasField("label") else None,
            source=each.source or feedback_service_pb2.FEEDBACK_SOURCE_USER,
            time_us=microseconds(each.time) if each.HasField("time") else received_us,
            received_us=received_us,
        )
        yield statement, bool(each.feedback_id)
