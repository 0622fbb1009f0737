"""Starts the preprocess service: `python -m services.preprocess`."""

import sys
from functools import partial

from servicekit.health import Readiness
from servicekit.manifest import read_repository
from servicekit.server import main, serve
from services.preprocess.decoder import Decoder
from services.preprocess.headers import Limits
from services.preprocess.memory import MemoryBudget
from services.preprocess.servicer import PreprocessServicer
from services.preprocess.settings import PreprocessSettings
from triptych.preprocess.v1.preprocess_service_pb2_grpc import add_PreprocessServiceServicer_to_server

SERVICE = "triptych.preprocess.v1.PreprocessService"


async def run(settings: PreprocessSettings) -> None:
    """Wires the process and serves until it is told to stop."""
    manifests = read_repository(settings.model_repository)
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
    with Decoder(settings.decode_threads, settings.max_waiting) as decoder:
        servicer = PreprocessServicer(
            manifests, decoder, MemoryBudget(settings.max_decode_bytes), limits, settings.max_images
        )
        await serve(settings, SERVICE, partial(add_PreprocessServiceServicer_to_server, servicer), Readiness())


if __name__ == "__main__":
    sys.exit(main("preprocess", PreprocessSettings, run))
