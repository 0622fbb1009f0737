"""The experiments service as gateways know it, at the wire: it says what a test wants run, and keeps what it is told.

It decides nothing and checks nothing; what the real one keeps on disk stays in lists here.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from fakes.neighbours import Neighbour

from servicekit.service import Register
from triptych.experiments.v1 import evidence_service_pb2 as pb
from triptych.experiments.v1 import evidence_service_pb2_grpc as pb_grpc
from triptych.experiments.v1 import experiment_pb2
from triptych.experiments.v1.experiment_pb2 import Arm, Experiment, Shadow

Context = grpc.aio.ServicerContext[Any, Any]

SERVICE = "triptych.experiments.v1.EvidenceService"


class FakeEvidence(Neighbour, pb_grpc.EvidenceServiceServicer):
    """Answers gateways."""

    def __init__(self, *experiments: Experiment) -> None:
        super().__init__(SERVICE)
        self.routing = pb.GetRoutingResponse(revision=1, experiments=experiments, holdout_salt="h")
        self.told = pb.RecordEvidenceRequest()
        """All that was acknowledged."""
        self.calls: list[pb.RecordEvidenceRequest] = []
        """What came, acknowledged or not."""

    def register(self) -> Register:
        """Returns what adds the service to a server."""
        return lambda server: pb_grpc.add_EvidenceServiceServicer_to_server(self, server)

    def run(self, *experiments: Experiment, **values: Any) -> None:
        """Changes what runs; further values are the routing's."""
        known = {"holdout_salt": "h", **values}
        self.routing = pb.GetRoutingResponse(revision=self.routing.revision + 1, experiments=experiments, **known)

    async def GetRouting(  # noqa: N802 (the contract names it)
        self, request: pb.GetRoutingRequest, context: Context
    ) -> pb.GetRoutingResponse:
        """Says what runs, unless the caller knows."""
        known = request.known_revision == self.routing.revision
        response = pb.GetRoutingResponse(revision=self.routing.revision) if known else self.routing
        got: pb.GetRoutingResponse = await self.respond(request, response, context)
        return got

    async def RecordEvidence(  # noqa: N802 (the contract names it)
        self, request: pb.RecordEvidenceRequest, context: Context
    ) -> pb.RecordEvidenceResponse:
        """Takes evidence."""
        self.calls.append(request)
        got: pb.RecordEvidenceResponse = await self.respond(request, pb.RecordEvidenceResponse(), context)
        self.told.MergeFrom(request)
        return got

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeEvidence"]:
        """Runs it while the context is open."""
        await self.start()
        try:
            yield self
        finally:
            await self.stop()


def experiment(name: str = "speed", *, shadows: Sequence[Shadow] = (), **values: Any) -> Experiment:
    """Returns an experiment of the model `other`, versions 1 against 2, half each; further values are its fields."""
    defaults = {
        "model": "other",
        "arms": [Arm(name="control", version="1", weight=1), Arm(name="candidate", version="2", weight=1)],
        "state": experiment_pb2.EXPERIMENT_STATE_RUNNING,
        "salt": "s",
    }
    return Experiment(name=name, shadows=shadows, **{**defaults, **values})
