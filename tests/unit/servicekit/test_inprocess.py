"""Services in the caller's own process, behind generated stubs."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit import context
from servicekit.errors import DeadlineExceeded, Internal, InvalidArgument, Unavailable
from servicekit.health import Readiness
from servicekit.inprocess import InProcessServer
from servicekit.service import Service
from triptych.postprocess.v1 import postprocess_service_pb2 as pb
from triptych.postprocess.v1 import postprocess_service_pb2_grpc as pb_grpc

NAME = "triptych.postprocess.v1.PostprocessService"


class Servicer(pb_grpc.PostprocessServiceServicer):
    """Does what it is told."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def RankLabels(self, request: Any, context: Any) -> Any:  # noqa: N802 (the contract's name)
        """Answers."""
        return await self._answer(request)


def _stub(answer: Any, readiness: Readiness | None = None) -> tuple[Any, Any]:
    def register(server: Any) -> None:
        pb_grpc.add_PostprocessServiceServicer_to_server(Servicer(answer), server)

    channel = InProcessServer([Service(NAME, register, readiness or Readiness())]).connect("anything", option=1)
    return pb_grpc.PostprocessServiceStub(channel), channel


async def test_messages_are_handed_over() -> None:
    """The servicer gets the very object, and so does the caller."""
    seen: list[Any] = []
    response = pb.RankLabelsResponse()

    async def answer(request: Any) -> Any:
        seen.append(request)
        return response

    stub, _ = _stub(answer)
    request = pb.RankLabelsRequest(model="tiny")

    assert response is await stub.RankLabels(request, timeout=5)
    assert request is seen[0]


async def test_errors_arrive_as_they_were_raised() -> None:
    """An error of ours keeps its type, sentence and field."""
    error = InvalidArgument("Too many.", field="options")

    async def answer(_request: Any) -> Any:
        raise error

    with pytest.raises(InvalidArgument) as caught:
        await _stub(answer)[0].RankLabels(pb.RankLabelsRequest(), timeout=5)
    assert error is caught.value


async def test_what_is_not_ours_tells_nothing() -> None:
    """Any other exception becomes Internal, without its text."""

    async def answer(_request: Any) -> Any:
        raise KeyError("secret")

    with pytest.raises(Internal) as caught:
        await _stub(answer)[0].RankLabels(pb.RankLabelsRequest(), timeout=5)
    assert "secret" not in caught.value.message


async def test_the_deadline_holds() -> None:
    """The servicer sees how much time is left, and is ended when it is over; the caller's own deadline stays."""
    left: list[float] = []

    async def answer(_request: Any) -> Any:
        left.append(context.time_left_s())
        await asyncio.Event().wait()

    context.set_deadline(100)
    with pytest.raises(DeadlineExceeded, match=r"0\.05 s"):
        await _stub(answer)[0].RankLabels(pb.RankLabelsRequest(), timeout=0.05)
    assert 0 < left[0] <= 0.05
    assert context.time_left_s() > 90


async def test_health_is_readiness() -> None:
    """The standard health service answers for each service, and the channel is always connected."""
    readiness = Readiness("triton")
    _, channel = _stub(None, readiness)
    health = health_pb2_grpc.HealthStub(channel)

    with pytest.raises(Unavailable):
        await health.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=1)
    await readiness.set("triton", None)
    response = await health.Check(health_pb2.HealthCheckRequest(service=NAME), timeout=1)

    assert health_pb2.HealthCheckResponse.SERVING == response.status
    assert grpc.ChannelConnectivity.READY == channel.get_state(try_to_connect=True)
