"""What the gateway makes of inference services that do not agree, or do not answer."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from gateway.checks import TRITON, models_check
from gateway.models import ModelDirectory
from gateway.tier import Tier
from servicekit.errors import Unavailable
from servicekit.health import Readiness
from triptych.inference.v1 import inference_service_pb2 as pb
from triptych.inference.v1 import inference_service_pb2_grpc as pb_grpc
from triptych.inference.v1.model_pb2 import MODEL_STATE_READY, MODEL_STATE_UNAVAILABLE, Model, ModelVersion


class _Replica(pb_grpc.InferenceServiceServicer):
    """Says that its one version is in a state, or nothing; the gateway's check asks for nothing else."""

    def __init__(self, state: "int | None") -> None:
        self.state = state

    async def ListModels(self, request: Any, context: Any) -> pb.ListModelsResponse:  # noqa: N802 (the protocol's)
        if self.state is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        version = ModelVersion(version="1", state=cast("Any", self.state))
        return pb.ListModelsResponse(models=[Model(name="tiny", default_version="1", versions=[version])])

    async def GetModel(self, request: Any, context: Any) -> pb.GetModelResponse:  # noqa: N802
        raise NotImplementedError

    async def PredictLogits(self, request: Any, context: Any) -> pb.PredictLogitsResponse:  # noqa: N802
        raise NotImplementedError


@asynccontextmanager
async def _channel(replica: _Replica) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    pb_grpc.add_InferenceServiceServicer_to_server(replica, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)


async def test_a_new_replica_without_a_triton_is_no_news() -> None:
    """While the ready one misses one answer, what the other one does not know yet refuses nobody; later it explains."""
    old, new = _Replica(MODEL_STATE_READY), _Replica(MODEL_STATE_UNAVAILABLE)
    directory, readiness = ModelDirectory("tiny"), Readiness(TRITON, "inference")
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(_channel(each)) for each in (old, new)]
        tier = SimpleNamespace(name="inference", channel=channels[0], probe_channel=channels[1])
        check = models_check(directory, readiness, cast("Tier", tier))
        await check()
        await readiness.set("inference", None)
        assert directory.is_ready("tiny", "1")

        old.state = None
        with pytest.raises(Unavailable):
            await check()
        assert directory.is_ready("tiny", "1")

        await readiness.set("inference", "It missed two answers.")
        with pytest.raises(Unavailable):
            await check()
        assert not directory.is_ready("tiny", "1")
