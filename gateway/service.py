"""Wires the gateway."""

import asyncio
from functools import partial
from typing import Any

from gateway.checks import TRITON, show_readiness
from gateway.classifier import Classifier
from gateway.experiments.service import Chain, open_answering, open_experiments
from gateway.experiments_api import SERVICES, ExperimentsApi
from gateway.forwarding import Forwarder
from gateway.hops import open_hops
from gateway.http.app import create_app
from gateway.http.server import HttpServer
from gateway.models import ModelDirectory
from gateway.result_cache import ResultCache
from gateway.servicer import SERVICE, ClassificationServicer
from gateway.serving import serve_both
from gateway.settings import GatewaySettings
from gateway.tier import Connect
from gateway.tiers import Tiers, open_tiers
from servicekit.channel import open_channel
from servicekit.health import Readiness
from servicekit.metrics import client_metrics
from servicekit.server import GrpcServer
from servicekit.tls import EDGE, INTERNAL, following
from servicekit.tracing import Tracer
from triptych.classification.v1.classification_service_pb2_grpc import add_ClassificationServiceServicer_to_server


async def serve_gateway(settings: GatewaySettings, tracer: Tracer | None, connect: Connect = open_channel) -> None:
    """Serves until the process is told to stop.

    Args:
        settings: the gateway's.
        tracer: begins the spans of requests that are traced; None traces nothing.
        connect: opens a channel to a service, wherever it is.
    """
    readiness = Readiness("preprocess", "inference", "postprocess", TRITON)
    show_readiness(readiness)
    directory = ModelDirectory(settings.default_model)
    async with (
        following(EDGE, settings.edge_tls_files) as edge,
        following(INTERNAL, settings.tls_files) as internal,
        open_tiers(settings, directory, readiness, partial(connect, tls=internal)) as tiers,
        open_experiments(settings, internal) as experiments,
        open_answering(settings, _chain(settings, tiers, directory), experiments, client_metrics()) as answering,
    ):
        classifier = Classifier(answering, settings.limits, settings.max_in_flight)
        draining = asyncio.Event()
        forwarder = Forwarder(experiments, client_metrics()) if experiments is not None else None
        api = ExperimentsApi(directory, forwarder, admin=settings.experiments_admin, shadows=settings.max_shadows > 0)
        servicer = ClassificationServicer(classifier, directory, settings.default_timeout_s, draining, tracer)

        def register(server: Any) -> None:
            add_ClassificationServiceServicer_to_server(servicer, server)
            api.register(server)

        http = HttpServer(settings, create_app(settings, classifier, directory, readiness, api), edge, tracer)
        grpc = GrpcServer(settings, [SERVICE, *SERVICES], register, edge=True, tls=edge, tracer=tracer)
        await serve_both(settings, grpc, http, readiness, draining)


def _chain(settings: GatewaySettings, tiers: Tiers, directory: ModelDirectory) -> Chain:
    return Chain(tiers, directory, open_hops(tiers, directory, client_metrics(), settings), _cache(settings))


def _cache(settings: GatewaySettings) -> ResultCache | None:
    size = settings.result_cache_bytes
    return ResultCache(size, settings.result_cache_ttl_s) if size else None
