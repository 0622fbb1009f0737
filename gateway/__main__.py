"""Starts the gateway: `python -m gateway`."""

import asyncio
import sys
from functools import partial

from gateway.checks import TRITON, show_readiness
from gateway.classifier import Classifier
from gateway.hops import open_hops
from gateway.http.app import create_app
from gateway.http.server import HttpServer
from gateway.models import ModelDirectory
from gateway.pipeline import Pipeline
from gateway.servicer import SERVICE, ClassificationServicer
from gateway.serving import serve_both
from gateway.settings import GatewaySettings
from gateway.tiers import open_tiers
from servicekit.health import Readiness
from servicekit.metrics import RpcMetrics
from servicekit.server import GrpcServer, main
from triptych.classification.v1.classification_service_pb2_grpc import add_ClassificationServiceServicer_to_server


async def run(settings: GatewaySettings) -> None:
    """Wires the process and serves until it is told to stop."""
    readiness = Readiness("preprocess", "inference", "postprocess", TRITON)
    show_readiness(readiness)
    directory = ModelDirectory(settings.default_model)
    async with open_tiers(settings, directory, readiness) as tiers:
        pipeline = Pipeline(tiers, open_hops(tiers, RpcMetrics("client"), settings.bounds), directory)
        classifier = Classifier(pipeline, settings.limits, settings.max_in_flight)
        draining = asyncio.Event()
        servicer = ClassificationServicer(classifier, directory, settings.default_timeout_s, draining)
        register = partial(add_ClassificationServiceServicer_to_server, servicer)
        http = HttpServer(settings, create_app(settings, classifier, directory, readiness))
        grpc = GrpcServer(settings, [SERVICE], register, edge=True)
        await serve_both(settings, grpc, http, readiness, draining)


if __name__ == "__main__":
    sys.exit(main("gateway", GatewaySettings, run))
