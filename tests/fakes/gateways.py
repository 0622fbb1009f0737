"""A gateway in the test's own process, wired as `gateway/__main__.py` wires it, on free ports."""

import asyncio
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

from gateway.checks import TRITON
from gateway.classifier import Classifier
from gateway.experiments.service import Chain, open_answering, open_experiments
from gateway.experiments_api import SERVICES, ExperimentsApi
from gateway.forwarding import Forwarder
from gateway.hops import Hops, open_hops
from gateway.http.app import create_app
from gateway.http.server import HttpServer
from gateway.models import ModelDirectory
from gateway.result_cache import ResultCache
from gateway.servicer import SERVICE, ClassificationServicer
from gateway.settings import GatewaySettings
from gateway.tiers import open_tiers
from servicekit.health import Readiness
from servicekit.metrics import RpcMetrics
from servicekit.server import GrpcServer, background
from servicekit.tls import Tls
from servicekit.tracing import Tracer
from triptych.classification.v1.classification_service_pb2_grpc import add_ClassificationServiceServicer_to_server


@dataclass
class Gateway:
    """Is a running gateway."""

    readiness: Readiness
    app: FastAPI
    http: HttpServer
    client: httpx.AsyncClient
    channel: grpc.aio.Channel
    draining: asyncio.Event
    """Set when the process is told to stop."""
    hops: Hops
    grpc_port: int
    registry: CollectorRegistry
    """Counts its RPCs, as a server and as a client."""

    @property
    def http_port(self) -> int:
        """Returns the port of the HTTP side."""
        return self.http.port

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
        "result_cache_bytes": 0,  # most tests are about computing
        "drain_delay_s": 0,
        "drain_timeout_s": 1,
    }
    return GatewaySettings(**{**defaults, **values})


@asynccontextmanager
async def running_gateway(
    behind: Neighbours,
    *,
    ready: bool = True,
    serve_http: bool = True,
    tls: Tls | None = None,
    tracer: Tracer | None = None,
    **values: Any,
) -> AsyncIterator[Gateway]:
    """Runs a gateway in front of `behind` while the context is open; further values are settings."""
    settings = _settings(behind, values)
    readiness = Readiness("preprocess", "inference", "postprocess", TRITON)
    directory = ModelDirectory(settings.default_model)
    registry = CollectorRegistry()
    draining = asyncio.Event()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        tiers = await enter(open_tiers(settings, directory, readiness))
        clients = RpcMetrics("client", registry)
        hops = open_hops(tiers, directory, clients, settings)
        cache = ResultCache(settings.result_cache_bytes, 300) if settings.result_cache_bytes else None
        chain = Chain(tiers, directory, hops, cache)
        experiments = await enter(open_experiments(settings, None))
        answering = await enter(open_answering(settings, chain, experiments, clients, 0.05))
        classifier = Classifier(answering, settings.limits, settings.max_in_flight)
        servicer = ClassificationServicer(classifier, directory, settings.default_timeout_s, draining, tracer)
        forwarder = Forwarder(experiments, clients) if experiments is not None else None
        api = ExperimentsApi(directory, forwarder, admin=settings.experiments_admin, shadows=settings.max_shadows > 0)

        def register(target: Any) -> None:
            add_ClassificationServiceServicer_to_server(servicer, target)
            api.register(target)

        metrics = RpcMetrics("server", registry)
        server = GrpcServer(
            settings, [SERVICE, *SERVICES], register, edge=True, metrics=metrics, tracer=tracer, tls=tls
        )
        app = create_app(settings, classifier, directory, readiness, api)
        http = HttpServer(settings, app, tls, tracer)
        await server.start()
        stack.push_async_callback(server.drain)
        if serve_http:  # its end takes a fifth of a second
            await enter(http.running())
        await enter(background(server.follow(readiness)))
        # No certificates for plain HTTP: loading them takes longer than the test.
        transport = httpx.AsyncHTTPTransport(verify=False)
        url = f"http://127.0.0.1:{http.port}"
        client = await enter(httpx.AsyncClient(base_url=url, timeout=10, trust_env=False, transport=transport))
        channel = await enter(connected(server.port, wait=tls is None))  # with TLS it leads nowhere
        gateway = Gateway(readiness, app, http, client, channel, draining, hops, server.port, registry)
        if ready:
            await gateway.becomes(ready=True, within_s=5)
        yield gateway
