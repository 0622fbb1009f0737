"""gRPC adapter of the registry and of what is said of experiments."""

# ruff: noqa: ARG002, N802 (names and arguments are the contract's)

from typing import Any

import grpc

from services.experiments import requests as read
from services.experiments.definitions import check_model, check_version
from services.experiments.judging import Judging
from services.experiments.registry import Registry
from services.experiments.threads import Threads
from triptych.experiments.v1 import experiment_service_pb2 as pb
from triptych.experiments.v1 import experiment_service_pb2_grpc as pb_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class ExperimentServicer(pb_grpc.ExperimentServiceServicer):
    """Does what people want done with experiments."""

    def __init__(self, registry: Registry, judging: Judging, threads: Threads) -> None:
        self._registry = registry
        self._judging = judging
        self._run = threads.run

    async def CreateExperiment(
        self, request: pb.CreateExperimentRequest, context: Context
    ) -> pb.CreateExperimentResponse:
        """Makes a draft, and starts it where that is wanted."""
        actor = read.actor_of(request.actor)
        made = await self._run(self._registry.create, request.experiment, actor, start=request.start)
        return pb.CreateExperimentResponse(experiment=made)

    async def GetExperiment(self, request: pb.GetExperimentRequest, context: Context) -> pb.GetExperimentResponse:
        """Answers with one."""
        found = await self._run(self._registry.get, read.name_of(request.name))
        return pb.GetExperimentResponse(experiment=found)

    async def ListExperiments(self, request: pb.ListExperimentsRequest, context: Context) -> pb.ListExperimentsResponse:
        """Answers with a page."""
        size, before = read.size_of(request.page_size), read.read_experiment_token(request.page_token)
        if request.model:
            check_model(request.model, "model")
        newest = self._registry.newest
        found = await self._run(newest, size + 1, before, request.model, only_running=request.running)
        page, more = found[:size], found[size:]
        last = page[-1] if more else None
        token = read.experiment_token(last.create_time.ToMicroseconds(), last.name) if last is not None else ""
        return pb.ListExperimentsResponse(experiments=page, next_page_token=token)

    async def StartExperiment(self, request: pb.StartExperimentRequest, context: Context) -> pb.StartExperimentResponse:
        """Lets requests take part."""
        name, actor, reason = read.deed_of(request)
        started = await self._run(self._registry.start, name, actor, reason)
        return pb.StartExperimentResponse(experiment=started)

    async def SetWeights(self, request: pb.SetWeightsRequest, context: Context) -> pb.SetWeightsResponse:
        """Changes the weights."""
        name, actor, reason = read.deed_of(request)
        weights = dict(request.weights)
        changed = await self._run(self._registry.set_weights, name, weights, actor, reason, anew=request.anew)
        return pb.SetWeightsResponse(experiment=changed)

    async def StopExperiment(self, request: pb.StopExperimentRequest, context: Context) -> pb.StopExperimentResponse:
        """Ends one."""
        name, actor, reason = read.deed_of(request)
        stopped = await self._run(self._registry.stop, name, actor, reason)
        return pb.StopExperimentResponse(experiment=stopped)

    async def PromoteArm(self, request: pb.PromoteArmRequest, context: Context) -> pb.PromoteArmResponse:
        """Ends one, and pins a version."""
        name, actor, reason = read.deed_of(request)
        arm = read.name_of(request.arm, "arm")
        promoted = await self._run(self._registry.promote, name, arm, actor, reason)
        return pb.PromoteArmResponse(experiment=promoted)

    async def DeleteExperiment(
        self, request: pb.DeleteExperimentRequest, context: Context
    ) -> pb.DeleteExperimentResponse:
        """Throws a draft away."""
        await self._run(self._registry.delete, read.name_of(request.name), read.actor_of(request.actor))
        return pb.DeleteExperimentResponse()

    async def GetVerdicts(self, request: pb.GetVerdictsRequest, context: Context) -> pb.GetVerdictsResponse:
        """Answers with what the facts say now."""
        said = await self._run(self._judging.verdicts, read.name_of(request.name))
        return pb.GetVerdictsResponse(verdicts=said)

    async def ListVerdicts(self, request: pb.ListVerdictsRequest, context: Context) -> pb.ListVerdictsResponse:
        """Answers with what they said before."""
        after_us = read.after_us(request.after) if request.HasField("after") else None
        said = await self._run(self._judging.history, read.name_of(request.name), after_us)
        return pb.ListVerdictsResponse(verdicts=said)

    async def ListDecisions(self, request: pb.ListDecisionsRequest, context: Context) -> pb.ListDecisionsResponse:
        """Answers with a page of the log."""
        size, before = read.size_of(request.page_size), read.read_decision_token(request.page_token)
        name = read.name_of(request.name) if request.name else ""
        found = await self._run(self._registry.decisions, size + 1, before, name)
        token = read.decision_token(found[size - 1].id) if len(found) > size else ""
        return pb.ListDecisionsResponse(decisions=found[:size], next_page_token=token)

    async def PinVersion(self, request: pb.PinVersionRequest, context: Context) -> pb.PinVersionResponse:
        """Pins a version, or gives the choice back."""
        check_model(request.model, "model")
        if request.version:
            check_version(request.version, "version")
        actor, reason = read.actor_of(request.actor), read.reason_of(request.reason)
        await self._run(self._registry.pin, request.model, request.version, actor, reason)
        return pb.PinVersionResponse()

    async def SetHoldout(self, request: pb.SetHoldoutRequest, context: Context) -> pb.SetHoldoutResponse:
        """Keeps a part of all keys out."""
        share = read.share_of(request.share)
        await self._run(self._registry.hold_out, share, read.actor_of(request.actor), read.reason_of(request.reason))
        return pb.SetHoldoutResponse()
