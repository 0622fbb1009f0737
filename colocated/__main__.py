"""Starts the gateway with the services inside: `python -m colocated`."""

import sys
from contextlib import AsyncExitStack

from colocated.settings import ColocatedSettings
from gateway.service import serve_gateway
from servicekit.inprocess import InProcessServer
from servicekit.server import main
from servicekit.tracing import Tracer
from services.inference.service import open_service as open_inference
from services.postprocess.service import open_service as open_postprocess
from services.preprocess.service import open_service as open_preprocess


async def run(settings: ColocatedSettings, tracer: Tracer | None) -> None:
    """Serves until the process is told to stop."""
    async with AsyncExitStack() as stack:
        opened = (open_preprocess(settings), open_inference(settings), open_postprocess(settings))
        services = [await stack.enter_async_context(service) for service in opened]
        await serve_gateway(settings, tracer, InProcessServer(services).connect)


if __name__ == "__main__":
    sys.exit(main("colocated", ColocatedSettings, run, edge=True))
