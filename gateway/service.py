"""Wires the gateway."""

import asyncio
from functools import partial

from gateway.checks import TRITON, show_readiness
from gateway.classifier import Classifier
from gateway.experiments.service import open_answering, open_experiments
from gateway.hops import open_hops
from gateway.http.app import create_app
from gateway.http.server import HttpServer
from gateway.models import ModelDirectory
from gateway.result_cache import ResultCache
from gateway.servicer import SERVICE, ClassificationServicer
from gateway.serving import serve_both
from gateway.settings import GatewaySettings
from gateway.tier import Connect
from gateway.tiers import open_tiers
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
        open_answering(
            settings,
            tiers,
            directory,
            open_hops(tiers, directory, client_metrics(), settings),
            _cache(settings),
            experiments,
            client_metrics(),
        ) as answering,
    ):
        classifier = Classifier(answering, settings.limits, settings.max_in_flight)
        draining = asyncio.Event()
        servicer = ClassificationServicer(classifier, directory, settings.default_timeout_s, draining, tracer)
        register = partial(add_ClassificationServiceServicer_to_server, servicer)
        http = HttpServer(settings, create_app(settings, classifier, directory, readiness), edge, tracer)
        grpc = GrpcServer(settings, [SERVICE], register, edge=True, tls=edge, tracer=tracer)
        await serve_both(settings, grpc, http, readiness, draining)


def _cache(settings: GatewaySettings) -> ResultCache | None:
    size = settings.result_cache_bytes
    return ResultCache(size, settings.result_cache_ttl_s) if size else None
