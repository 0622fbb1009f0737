"""What is told of a request once it has ended. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.routing import Asker, Assignment, Shadow, key_hash
from servicekit.errors import Code, Reason, TriptychError
from triptych.classification.v1 import classification_pb2
from triptych.experiments.v1 import evidence_service_pb2 as pb

Result = classification_pb2.Classification

TOP = 5
"""Most classes of an answer that are logged."""
_FAILURES = frozenset({Code.INTERNAL, Code.UNAVAILABLE, Code.UNKNOWN, Code.DATA_LOSS})
_UNANSWERED = frozenset({*_FAILURES, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED})


def is_failure(error: TriptychError) -> bool:
    """Says whether another version may do better; of a version that nobody named, also that it is not there."""
    return error.code in _FAILURES or error.reason is Reason.MODEL_VERSION_NOT_FOUND


@dataclass(slots=True)
class Trial:
    """Is a request that was dealt an arm, and how it goes."""

    assignment: Assignment
    key_hash: bytes
    failed: bool = False
    """Whether the arm's version failed it, whatever was answered in the end."""
    left: bool = False
    """Whether it ended by the caller's own doing."""
    gone: bool = False
    """Whether that was to leave without an answer, which says something once the version is late."""
    remembered: list[bytes] = field(default_factory=list)
    """Digests of images that the arm's version had answered before. No version is late or fails there, and one that
    gets more of the requests remembers more: such a request says nothing, of several images also if it fails."""
    computed_ms: float = 0.0
    """Time that the answers took, which is longer than the request where an identical one had begun them before."""

    @classmethod
    def of(cls, asker: Asker, assignment: Assignment) -> "Trial":
        """Returns the trial that begins with an assignment."""
        return cls(assignment, key_hash(assignment.experiment, asker.key))

    def ended_with(self, error: TriptychError) -> None:
        """Takes note of the error that the caller gets."""
        self.failed = self.failed or error.code in _UNANSWERED or is_failure(error)
        self.left = not self.failed
        self.gone = self.left and error.code is Code.CANCELLED

    def answered_with(self, results: Sequence[Result]) -> None:
        """Takes note of the answers that the caller gets."""
        self.computed_ms = max(result.timing.total_ms for result in results)

    def exposure(self, total_ms: float) -> pb.Exposure:
        """Tells that the key was dealt its arm, and how the request ended: who leaves late was kept waiting."""
        experiment = self.assignment.experiment
        late = max(total_ms, self.computed_ms) > experiment.slow_ms
        void = bool(self.remembered) or (self.left and not (self.gone and late))
        return pb.Exposure(
            experiment=experiment.name,
            epoch=experiment.epoch,
            arm=self.assignment.arm.name,
            key_hash=self.key_hash,
            failed=self.failed and not void,
            slow=late and not void,
            void=void,
        )

    def outcome(self, *, answered: bool) -> str:
        """Says in a word how it ended."""
        if not answered:
            return "void" if self.left else "failed"
        return "fallback" if self.failed else "answered"

    @property
    def fields(self) -> dict[str, Any]:
        """Returns what the record of an answer says of the experiment."""
        return {
            "experiment": self.assignment.experiment.name,
            "epoch": self.assignment.experiment.epoch,
            "arm": self.assignment.arm.name,
            "key_hash": self.key_hash,
            "fallback": self.failed,
        }


def prediction(result: Result) -> dict[str, Any]:
    """Returns what the record of an answer says of the answer; making messages of it costs twice as much here."""
    return {
        "prediction_id": result.prediction_id,
        "model": result.model,
        "version": result.version,
        "top": [{"index": each.index, "label": each.label, "score": each.score} for each in result.predictions[:TOP]],
        "cached": result.cached,
    }


@dataclass(frozen=True, slots=True)
class Served:
    """Is what a shadow's answer is compared with."""

    prediction_id: str
    first: pb.RankedClass | None

    @classmethod
    def of(cls, result: Result) -> "Served":
        """Returns what counts of the answer that the caller gets."""
        return cls(result.prediction_id, _first(result))


def shadow_records(
    assignment: Assignment, shadow: Shadow, served: Sequence[Served], results: Sequence[Result], total_ms: float
) -> list[pb.ShadowRecord]:
    """Tells what a shadow answered, image by image.

    Args:
        assignment: that showed the request to the shadow.
        shadow: one of its shadows.
        served: what the caller got.
        results: what the shadow answered; none where it failed.
        total_ms: how long that took.
    """
    answers: Sequence[Result | None] = results or [None] * len(served)
    return [
        pb.ShadowRecord(
            prediction_id=each.prediction_id,
            experiment=assignment.experiment.name,
            epoch=assignment.experiment.epoch,
            shadow=shadow.name,
            version=shadow.version,
            first=_first(result) if result is not None else None,
            served=each.first,
            total_ms=total_ms,
        )
        for each, result in zip(served, answers, strict=True)
    ]


def _first(result: Result) -> pb.RankedClass | None:
    return _ranked(result.predictions[0]) if result.predictions else None


def _ranked(prediction: classification_pb2.Prediction) -> pb.RankedClass:
    return pb.RankedClass(index=prediction.index, label=prediction.label, score=prediction.score)
