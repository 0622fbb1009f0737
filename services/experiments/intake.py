"""Takes evidence, feedback and deletions: checked, then written to the journal."""

from services.experiments.journal import Journal
from triptych.experiments.v1 import evidence_service_pb2, feedback_service_pb2


class Intake:
    """Takes what comes from gateways and callers; each method returns once it is on disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def record(self, request: evidence_service_pb2.RecordEvidenceRequest) -> None:
        """Takes what happened at a gateway: all that `EvidenceService.RecordEvidence` has to do.

        Raises:
            InvalidArgument: a field is out of range; nothing was taken.
            ResourceExhausted: there is no room; nothing was taken.
        """
        raise NotImplementedError

    async def submit(self, request: feedback_service_pb2.SubmitFeedbackRequest) -> int:
        """Takes labels, and returns how many.

        Raises:
            InvalidArgument: a field is missing or out of range; nothing was taken.
            ResourceExhausted: there is no room; nothing was taken.
        """
        raise NotImplementedError

    async def forget(self, request: feedback_service_pb2.DeletePredictionsRequest) -> None:
        """Takes the wish that predictions be forgotten.

        Raises:
            InvalidArgument: a field is missing or out of range; nothing was taken.
            ResourceExhausted: there is no room; nothing was taken.
        """
        raise NotImplementedError
