"""Tells of requests that have ended, as far as the policy wants it told."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from gateway.experiments.evidence import Result, Trial, prediction
from gateway.experiments.metrics import count_request
from gateway.experiments.sampling import Policy
from gateway.requests import Call
from gateway.routing import Asker
from servicekit import context
from triptych.experiments.v1 import evidence_service_pb2 as pb

TENANT = 128
"""Characters of a tenant that are told: as many as the experiments service holds."""

Record = Callable[[pb.RecordEvidenceRequest], None]


class Teller:
    """Makes evidence of requests."""

    def __init__(self, record: Record, policy: Policy, draw: Callable[[], float]) -> None:
        """Takes who hears it, what is told, and what draws numbers from 0 to 1, below 1."""
        self._record = record
        self._policy = policy
        self._draw = draw
        self.logs = policy.logs
        """Whether anything is told of requests outside experiments."""

    def tell(self, call: Call, asker: Asker, results: Sequence[Result], total_ms: float, trial: Trial | None) -> None:
        """Tells of one request.

        Args:
            call: with the digests of its images.
            asker: who sent it.
            results: what the caller gets; none where that is an error.
            total_ms: how long it took.
            trial: None outside experiments.
        """
        evidence = pb.RecordEvidenceRequest()
        if trial is not None:
            evidence.exposures.append(trial.exposure(total_ms))
            assignment = trial.assignment
            count_request(assignment.experiment.name, assignment.arm.name, trial.outcome(answered=bool(results)))
        seconds, nanos = divmod(time.time_ns(), 10**9)
        whole = {"time": {"seconds": seconds, "nanos": nanos}, "total_ms": total_ms}
        whole |= {
            "request_id": _request_id(),
            "tenant": asker.tenant[:TENANT],
            **(trial.fields if trial is not None else {}),
        }
        for index, result in enumerate(results):
            scores = [each.score for each in result.predictions[:2]]
            probability = 1.0 if trial is not None else self._policy.probability(scores)
            if self._draw() < probability:
                evidence.predictions.add(
                    **prediction(result),
                    **whole,
                    **_image(call, index, keep=self._policy.keeps_image(scores)),
                    inclusion_probability=probability,
                )
        if evidence.exposures or evidence.predictions:
            self._record(evidence)


def _image(call: Call, index: int, *, keep: bool) -> dict[str, Any]:
    content = call.images[index]
    return {
        "image_digest": call.digests[index],
        "image_bytes": len(content),
        "image": content if keep else b"",
    }


def _request_id() -> str:
    asking = context.current()
    return "" if asking is None else asking.request_id
