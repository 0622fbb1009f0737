"""Starts the postprocess service: `python -m services.postprocess`."""

import sys

from servicekit.server import main, serve
from servicekit.tracing import Tracer
from services.postprocess.service import open_service
from services.postprocess.settings import PostprocessSettings


async def run(settings: PostprocessSettings, tracer: Tracer | None) -> None:
    """Serves until the process is told to stop."""
    async with open_service(settings) as service:
        await serve(settings, service, tracer)


if __name__ == "__main__":
    sys.exit(main("postprocess", PostprocessSettings, run))
