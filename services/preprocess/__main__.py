"""Starts the preprocess service: `python -m services.preprocess`."""

import sys

from servicekit.server import main, serve
from servicekit.tracing import Tracer
from services.preprocess.service import open_service
from services.preprocess.settings import PreprocessSettings


async def run(settings: PreprocessSettings, tracer: Tracer | None) -> None:
    """Serves until the process is told to stop."""
    async with open_service(settings) as service:
        await serve(settings, service, tracer)


if __name__ == "__main__":
    sys.exit(main("preprocess", PreprocessSettings, run))
