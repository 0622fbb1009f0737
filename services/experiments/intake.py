"""Takes evidence, feedback and deletions: checked, then written to the journal."""

import time

from services.experiments.evidence_checks import check_evidence
from services.experiments.feedback_checks import check_deletion, check_feedback
from services.experiments.frames import Kind
from services.experiments.journal import Journal
from triptych.experiments.v1 import evidence_service_pb2, feedback_service_pb2


class Clock:
    """Tells the time in microseconds, and never the same twice."""

    def __init__(self) -> None:
        self._next_us = 0

    def take(self, count: int = 1) -> int:
        """Returns the first of so many microseconds, of which none was returned before."""
        first = max(self._next_us, time.time_ns() // 1000)
        self._next_us = first + count
        return first


class Intake:
    """Takes what comes from gateways and callers; each method returns once it is on disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._clock = Clock()

    async def record(self, request: evidence_service_pb2.RecordEvidenceRequest) -> None:
        """Takes what happened at a gateway: all that `EvidenceService.RecordEvidence` has to do.

        Raises:
            InvalidArgument: a field is out of range; nothing was taken.
            ResourceExhausted: there is no room; nothing was taken.
        """
        check_evidence(request)
        if request.ByteSize():
            await self._journal.append(Kind.EVIDENCE, request.SerializeToString(), self._clock.take())

    async def submit(self, request: feedback_service_pb2.SubmitFeedbackRequest) -> int:
        """Takes labels, and returns how many.

        Raises:
            InvalidArgument: a field is missing or out of range; nothing was taken.
            ResourceExhausted: there is no room; nothing was taken.
        """
        check_feedback(request, int(time.time()))
        count = len(request.feedback)
        await self._journal.append(Kind.FEEDBACK, request.SerializeToString(), self._clock.take(count))
        return count

    async def forget(self, request: feedback_service_pb2.DeletePredictionsRequest) -> None:
        """Takes the wish that predictions be forgotten.

        Raises:
            InvalidArgument: a field is missing or out of range; nothing was taken.
            ResourceExhausted: there is no room; nothing was taken.
        """
        check_deletion(request)
        await self._journal.append(Kind.DELETION, request.SerializeToString(), self._clock.take())
