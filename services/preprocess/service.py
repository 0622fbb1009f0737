"""Wires the preprocess service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from servicekit.health import Readiness
from servicekit.repository import Models
from servicekit.service import Service
from services.preprocess.decoder import Decoder
from services.preprocess.headers import Limits
from services.preprocess.memory import MemoryBudget
from services.preprocess.servicer import PreprocessServicer
from services.preprocess.settings import PreprocessSettings
from triptych.preprocess.v1.preprocess_service_pb2_grpc import add_PreprocessServiceServicer_to_server

SERVICE = "triptych.preprocess.v1.PreprocessService"


@asynccontextmanager
async def open_service(settings: PreprocessSettings) -> AsyncIterator[Service]:
    """Opens the service's resources, and closes them with the context.

    Raises:
        ManifestError: the model repository cannot be used.
    """
    models = Models(settings.model_repository, settings.trusted_keys)
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
    with Decoder(settings.decode_threads, settings.max_waiting) as decoder:
        budget = MemoryBudget(settings.max_decode_bytes)
        servicer = PreprocessServicer(models, decoder, budget, limits, settings.max_batch, settings.jpeg_oversampling)
        async with models.running():
            yield Service(SERVICE, partial(add_PreprocessServiceServicer_to_server, servicer), Readiness())
