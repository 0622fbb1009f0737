"""Two servers, one life: both listen, both become ready, both drain."""

import asyncio

import structlog

from gateway.http.server import HttpServer
from gateway.settings import GatewaySettings
from servicekit.health import Readiness
from servicekit.monitor import start_monitor
from servicekit.server import GrpcServer, announce, background, stop_signal

log = structlog.get_logger()


async def serve_both(
    settings: GatewaySettings, grpc: GrpcServer, http: HttpServer, readiness: Readiness, draining: asyncio.Event
) -> None:
    """Serves gRPC and HTTP until SIGTERM or SIGINT, then sets `draining` and drains both.

    Raises:
        OSError: one of the ports is taken.
    """
    await grpc.start()
    async with http.running(), background(grpc.follow(readiness)):
        ports = {"grpc": grpc.port, "http": http.port, "metrics": start_monitor(settings, readiness)}
        announce(settings.announce_file, ports)
        log.info("listening", host=settings.host, **ports)
        await stop_signal()
        log.info("draining")
        await readiness.set("gateway", "It is shutting down.")
        draining.set()
        await asyncio.gather(grpc.drain(), http.drain())
    log.info("stopped")
