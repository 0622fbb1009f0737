"""Starts the inference service: `python -m services.inference`."""

import sys

from servicekit.server import main, serve
from servicekit.tracing import Tracer
from services.inference.service import open_service
from services.inference.settings import InferenceSettings


async def run(settings: InferenceSettings, tracer: Tracer | None) -> None:
    """Serves until the process is told to stop."""
    async with open_service(settings) as service:
        await serve(settings, service, tracer)


if __name__ == "__main__":
    sys.exit(main("inference", InferenceSettings, run))
