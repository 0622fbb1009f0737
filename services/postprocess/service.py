"""Wires the postprocess service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from servicekit.health import Readiness
from servicekit.service import Service
from services.postprocess.labels import Calibrations
from services.postprocess.servicer import PostprocessServicer
from services.postprocess.settings import PostprocessSettings
from triptych.postprocess.v1.postprocess_service_pb2_grpc import add_PostprocessServiceServicer_to_server

SERVICE = "triptych.postprocess.v1.PostprocessService"


@asynccontextmanager
async def open_service(settings: PostprocessSettings) -> AsyncIterator[Service]:
    """Opens the service.

    Raises:
        ManifestError: the model repository cannot be used.
    """
    calibrations = Calibrations(settings.model_repository, settings.trusted_keys)
    servicer = PostprocessServicer(calibrations, settings.max_batch, settings.max_top_k)
    async with calibrations.running():
        yield Service(SERVICE, partial(add_PostprocessServiceServicer_to_server, servicer), Readiness())
