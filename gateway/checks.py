"""What the gateway checks of each service, several times a second."""

from functools import partial

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.metrics import READY, show_models
from gateway.models import ModelDirectory
from gateway.tier import Tier
from servicekit.errors import Unavailable
from servicekit.health import Check, Readiness
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.inference.v1 import inference_service_pb2_grpc as inference_grpc

TRITON = "triton"


def health_check(service: str, tier: Tier) -> Check:
    """Returns a check that passes when a healthy replica of the service answers."""
    stub = health_pb2_grpc.HealthStub(tier.channel)

    async def check() -> None:
        try:
            response = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=0.5)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"No ready replica answers ({error.code().name}).") from None
        if response.status != health_pb2.HealthCheckResponse.SERVING:
            raise Unavailable("The service says that it is not ready.")

    return check


def models_check(directory: ModelDirectory, readiness: Readiness, tier: Tier) -> Check:
    """Returns a check of the inference service that also learns its models and whether Triton stands behind it."""
    stub = inference_grpc.InferenceServiceStub(tier.probe_channel)

    async def check() -> None:
        try:
            response = await stub.ListModels(inference_pb.ListModelsRequest(), timeout=0.5)
        except grpc.aio.AioRpcError as error:
            if tier.name in readiness.failing():  # one missed answer is not news, of Triton either
                await readiness.set(TRITON, "Unknown, since the inference service does not answer.")
            raise Unavailable(f"No replica answers ({error.code().name}).") from None
        directory.update(response.models)
        show_models(directory.describe())
        await readiness.set(TRITON, directory.problem())

    return check


def show_readiness(readiness: Readiness) -> None:
    """Makes every condition a gauge."""
    for name in readiness.conditions():
        READY.labels(name).set_function(partial(_holds, readiness, name))


def _holds(readiness: Readiness, name: str) -> float:
    return float(name not in readiness.failing())
