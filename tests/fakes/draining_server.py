"""A process of servicekit whose one method takes half a second: `python -m fakes.draining_server`."""

import asyncio
import sys

from fakes.scripted import SERVICE, Context, ScriptedService

from servicekit.health import Readiness
from servicekit.server import main, serve
from servicekit.service import Service
from servicekit.settings import ServiceSettings
from servicekit.tracing import Tracer
from triptych.classification.v1 import classification_service_pb2 as pb


async def _slow(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
    await asyncio.sleep(0.5)
    return pb.ClassifyResponse()


async def run(settings: ServiceSettings, _: Tracer | None) -> None:
    """Serves until it is told to stop."""
    await serve(settings, Service(SERVICE, ScriptedService(_slow).register, Readiness()))


if __name__ == "__main__":
    sys.exit(main("draining", ServiceSettings, run))
