"""gRPC adapter for gateways: what they must know, and what they saw."""

# ruff: noqa: ARG002, N802 (names and arguments are the contract's)

import asyncio
from typing import Any

import grpc

from servicekit.errors import Unavailable
from services.experiments.intake import Intake
from services.experiments.registry import Registry
from services.experiments.threads import Threads
from triptych.experiments.v1 import evidence_service_pb2 as pb
from triptych.experiments.v1 import evidence_service_pb2_grpc as pb_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class EvidenceServicer(pb_grpc.EvidenceServiceServicer):
    """Serves gateways, with the last known routing while the database is away."""

    def __init__(self, registry: Registry, intake: Intake, threads: Threads) -> None:
        self._registry = registry
        self._intake = intake
        self._threads = threads
        self._last: pb.GetRoutingResponse | None = None
        self._turn = asyncio.Lock()

    async def GetRouting(self, request: pb.GetRoutingRequest, context: Context) -> pb.GetRoutingResponse:
        """Answers with the routing, or with its revision alone where that is known."""
        async with self._turn:
            routing = self._last = await self._read(self._last)
        known = request.known_revision == routing.revision
        return pb.GetRoutingResponse(revision=routing.revision) if known else routing

    async def _read(self, last: pb.GetRoutingResponse | None) -> pb.GetRoutingResponse:
        try:
            found = await self._threads.run(self._registry.routing, last.revision if last is not None else 0)
        except Unavailable:
            if last is None:
                raise
            return last
        return found if last is None or found.revision != last.revision else last

    async def RecordEvidence(self, request: pb.RecordEvidenceRequest, context: Context) -> pb.RecordEvidenceResponse:
        """Takes what happened."""
        await self._intake.record(request)
        return pb.RecordEvidenceResponse()
