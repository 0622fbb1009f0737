"""Starts the gateway: `python -m gateway`."""

import sys
from contextlib import AsyncExitStack

import structlog

from gateway.checks import TRITON, health_check, models_check, show_readiness
from gateway.classifier import Classifier
from gateway.http.app import create_app
from gateway.http.server import HttpServer
from gateway.models import ModelDirectory
from gateway.pipeline import INFERENCE, POSTPROCESS, PREPROCESS, Pipeline, Tiers
from gateway.requests import Limits
from gateway.servicer import ClassificationServicer
from gateway.settings import GatewaySettings
from gateway.tier import Tier
from servicekit.health import Readiness
from servicekit.metrics import RpcMetrics
from servicekit.server import GrpcServer, announce, background, main, stop_signal
from triptych.classification.v1.classification_service_pb2_grpc import add_ClassificationServiceServicer_to_server

SERVICE = "triptych.classification.v1.ClassificationService"

log = structlog.get_logger()


async def run(settings: GatewaySettings) -> None:
    """Wires the process and serves until it is told to stop."""
    readiness = Readiness("preprocess", "inference", "postprocess", TRITON)
    show_readiness(readiness)
    directory = ModelDirectory(settings.default_model)
    tiers = _tiers(settings, readiness)
    limits = Limits(
        settings.max_images,
        settings.max_image_bytes,
        settings.max_request_bytes,
        settings.max_top_k,
        settings.default_top_k,
    )
    classifier = Classifier(Pipeline(tiers, directory, RpcMetrics("client")), limits, settings.max_in_flight)
    servicer = ClassificationServicer(classifier, directory, settings.default_timeout_s)
    grpc_server = GrpcServer(
        settings, [SERVICE], lambda server: add_ClassificationServiceServicer_to_server(servicer, server), edge=True
    )
    http_server = HttpServer(settings, create_app(settings, classifier, directory, readiness))
    async with AsyncExitStack() as stack:
        every_s = settings.probe_interval_s
        await stack.enter_async_context(tiers.preprocess.probed(health_check(tiers.preprocess, PREPROCESS), every_s))
        await stack.enter_async_context(
            tiers.inference.probed(models_check(tiers.inference, directory, readiness), every_s)
        )
        await stack.enter_async_context(tiers.postprocess.probed(health_check(tiers.postprocess, POSTPROCESS), every_s))
        await grpc_server.start()
        await stack.enter_async_context(http_server.running())
        await stack.enter_async_context(background(grpc_server.follow(readiness)))
        announce(settings.announce_file, {"grpc": grpc_server.port, "http": http_server.port})
        log.info("listening", host=settings.host, grpc_port=grpc_server.port, http_port=http_server.port)
        await stop_signal()
        log.info("draining")
        await readiness.set("gateway", "It is shutting down.")
        http_server.turn_away()
        await grpc_server.drain()
    log.info("stopped")


def _tiers(settings: GatewaySettings, readiness: Readiness) -> Tiers:
    def tier(name: str, target: str, service: str) -> Tier:
        return Tier(name, target, service, settings.max_message_bytes, readiness, settings.hold_s)

    return Tiers(
        tier("preprocess", settings.preprocess_target, PREPROCESS),
        tier("inference", settings.inference_target, INFERENCE),
        tier("postprocess", settings.postprocess_target, POSTPROCESS),
    )


if __name__ == "__main__":
    sys.exit(main("gateway", GatewaySettings, run))
