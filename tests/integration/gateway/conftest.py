"""A gateway and what stands behind it."""

from collections.abc import AsyncIterator

import pytest
from fakes import evidence_service
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours
from fakes.scripted_experiments import FakeExperiments, experiment, running_experiments

from triptych.experiments.v1 import experiment_service_pb2 as pb
from triptych.experiments.v1 import feedback_service_pb2 as feedback_pb


@pytest.fixture(params=[False, True], ids=["grpc", "link"])
async def behind(request: pytest.FixtureRequest) -> AsyncIterator[Neighbours]:
    """The three services, running, behind either transport."""
    async with Neighbours(linked=request.param).running() as running:
        yield running


@pytest.fixture
async def gateway(behind: Neighbours) -> AsyncIterator[Gateway]:
    """A gateway in front of them, ready."""
    async with running_gateway(behind) as running:
        yield running


@pytest.fixture
async def service() -> AsyncIterator[FakeExperiments]:
    """The experiments service, scripted; it knows `trial`, and takes one feedback."""
    async with running_experiments() as running:
        running.scripts["GetExperiment"] = pb.GetExperimentResponse(experiment=experiment("1", "2"))
        running.scripts["SubmitFeedback"] = feedback_pb.SubmitFeedbackResponse(accepted_count=1)
        yield running


@pytest.fixture
async def experimenting(service: FakeExperiments) -> AsyncIterator[Gateway]:
    """A gateway in front of the three services and the scripted one, ready."""
    async with Neighbours().running() as behind, running_gateway(behind, experiments_target=service.target) as running:
        yield running


@pytest.fixture
async def evidence() -> AsyncIterator[evidence_service.FakeEvidence]:
    """The experiments service as gateways know it, with one experiment that runs."""
    async with evidence_service.FakeEvidence(evidence_service.experiment()).running() as running:
        yield running
