"""A gateway in the test's own process, wired as `gateway/__main__.py` wires it, on free ports."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
from fakes.neighbours import Neighbours
from fakes.servers import connected, eventually
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from gateway.checks import TRITON, health_check, models_check
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
from servicekit.server import GrpcServer, background
from triptych.classification.v1.classification_service_pb2_grpc import add_ClassificationServiceServicer_to_server

SERVICE = "triptych.classification.v1.ClassificationService"


@dataclass
class Gateway:
    """Is a running gateway."""

    readiness: Readiness
    app: FastAPI
    http: HttpServer
    grpc_port: int
    client: httpx.AsyncClient
    channel: grpc.aio.Channel

    async def becomes(self, *, ready: bool, within_s: float = 2) -> None:
        """Waits until readiness is as wanted."""
        await eventually(lambda: self.readiness.ready is ready, within_s)


def _settings(behind: Neighbours, values: dict[str, Any]) -> GatewaySettings:
    defaults = {
        "port": 0,
        "http_port": 0,
        "preprocess_target": behind.preprocess.target,
        "inference_target": behind.inference.target,
        "postprocess_target": behind.postprocess.target,
        "default_model": "tiny",
        "probe_interval_s": 0.05,
        "request_log": False,
        "drain_delay_s": 0,
        "drain_timeout_s": 1,
    }
    return GatewaySettings(**{**defaults, **values})


@asynccontextmanager
async def running_gateway(
    behind: Neighbours, *, ready: bool = True, serve_http: bool = True, **values: Any
) -> AsyncIterator[Gateway]:
    """Runs a gateway in front of `behind` while the context is open; further values are settings."""
    settings = _settings(behind, values)
    readiness = Readiness("preprocess", "inference", "postprocess", TRITON)
    directory = ModelDirectory(settings.default_model)

    def tier(name: str, target: str, service: str) -> Tier:
        return Tier(name, target, service, settings.max_message_bytes, readiness, settings.hold_s)

    tiers = Tiers(
        tier("preprocess", settings.preprocess_target, PREPROCESS),
        tier("inference", settings.inference_target, INFERENCE),
        tier("postprocess", settings.postprocess_target, POSTPROCESS),
    )
    limits = Limits(
        settings.max_images,
        settings.max_image_bytes,
        settings.max_request_bytes,
        settings.max_top_k,
        settings.default_top_k,
    )
    registry = CollectorRegistry()
    pipeline = Pipeline(tiers, directory, RpcMetrics("client", registry))
    classifier = Classifier(pipeline, limits, settings.max_in_flight)
    servicer = ClassificationServicer(classifier, directory, settings.default_timeout_s)
    server = GrpcServer(
        settings,
        [SERVICE],
        lambda server: add_ClassificationServiceServicer_to_server(servicer, server),
        edge=True,
        metrics=RpcMetrics("server", registry),
    )
    app = create_app(settings, classifier, directory, readiness)
    http = HttpServer(settings, app)
    every_s = settings.probe_interval_s
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(tiers.preprocess.probed(health_check(tiers.preprocess, PREPROCESS), every_s))
        await enter(tiers.inference.probed(models_check(tiers.inference, directory, readiness), every_s))
        await enter(tiers.postprocess.probed(health_check(tiers.postprocess, POSTPROCESS), every_s))
        await server.start()
        stack.push_async_callback(server.drain)
        if serve_http:  # its end takes a fifth of a second
            await enter(http.running())
        await enter(background(server.follow(readiness)))
        client = await enter(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{http.port}", timeout=10, trust_env=False, verify=False)
        )
        channel = await enter(connected(server.port))
        gateway = Gateway(readiness, app, http, server.port, client, channel)
        if ready:
            await gateway.becomes(ready=True, within_s=5)
        yield gateway
