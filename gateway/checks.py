"""What the gateway checks of each service, several times a second."""

from contextlib import suppress
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
TIMEOUT_S = 0.45
"""Below the prober's own, which would say less about what happened."""


def health_check(service: str, tier: Tier) -> Check:
    """Returns a check that passes when a healthy replica of the service answers."""
    stub = health_pb2_grpc.HealthStub(tier.channel)

    async def check() -> None:
        try:
            response = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise _away(error) from None
        if response.status != health_pb2.HealthCheckResponse.SERVING:
            raise Unavailable("The service says that it is not ready.")

    return check


def models_check(directory: ModelDirectory, readiness: Readiness, tier: Tier) -> Check:
    """Returns a check of the inference service that also learns its models and whether Triton stands behind it."""
    ready, any_replica = (inference_grpc.InferenceServiceStub(each) for each in (tier.channel, tier.probe_channel))

    async def learn(stub: "inference_grpc.InferenceServiceAsyncStub") -> None:
        request = inference_pb.ListModelsRequest(labels=directory.lacks_labels)
        response = await stub.ListModels(request, timeout=TIMEOUT_S)
        directory.update(response.models)
        show_models(directory.describe())
        await readiness.set(TRITON, directory.problem())

    async def explain(code: grpc.StatusCode) -> None:
        """Learns what a replica that is not ready knows; when none answers, nothing is known any more.

        Only of a service that counts as lost: one missed answer is no news, of Triton either. It may have been due to a
        replica that leaves, while one that has just come, and has no Triton yet, knows less than all others.
        """
        if tier.name not in readiness.failing():
            return
        if code is grpc.StatusCode.UNAVAILABLE:
            with suppress(grpc.aio.AioRpcError):
                await learn(any_replica)
                return
        directory.lose("The inference service does not answer.")
        show_models(directory.describe())
        await readiness.set(TRITON, "Unknown, since the inference service does not answer.")

    async def check() -> None:
        # Replicas can differ in what they see of Triton. Only one that is ready makes the service so, over the very
        # channel that calls take; what the others say explains, and no more.
        try:
            await learn(ready)
        except grpc.aio.AioRpcError as error:
            await explain(error.code())
            raise _away(error) from None

    return check


def _away(error: grpc.aio.AioRpcError) -> Exception:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TimeoutError(f"No replica answered within {TIMEOUT_S:g} s.")
    return Unavailable(f"No ready replica can be reached ({error.code().name}).")


def show_readiness(readiness: Readiness) -> None:
    """Makes every condition a gauge."""
    for name in readiness.conditions():
        READY.labels(name).set_function(partial(_holds, readiness, name))


def _holds(readiness: Readiness, name: str) -> float:
    return float(name not in readiness.failing())
