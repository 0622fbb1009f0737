"""Starts the postprocess service: `python -m services.postprocess`."""

import sys
from functools import partial

from servicekit.health import Readiness
from servicekit.server import main, serve
from services.postprocess.labels import Calibrations
from services.postprocess.servicer import PostprocessServicer
from services.postprocess.settings import PostprocessSettings
from triptych.postprocess.v1.postprocess_service_pb2_grpc import add_PostprocessServiceServicer_to_server

SERVICE = "triptych.postprocess.v1.PostprocessService"


async def run(settings: PostprocessSettings) -> None:
    """Wires the process and serves until it is told to stop."""
    calibrations = Calibrations.read(settings.model_repository)
    servicer = PostprocessServicer(calibrations, settings.max_rows, settings.max_top_k)
    await serve(settings, SERVICE, partial(add_PostprocessServiceServicer_to_server, servicer), Readiness())


if __name__ == "__main__":
    sys.exit(main("postprocess", PostprocessSettings, run))
