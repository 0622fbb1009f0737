"""Real gRPC servers on free ports of the loopback interface, ready when their context opens."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from servicekit.health import Readiness
from servicekit.metrics import RpcMetrics
from servicekit.server import GrpcServer, background
from servicekit.service import Register
from servicekit.settings import ProcessSettings


def settings(**values: Any) -> ProcessSettings:
    """Returns settings that suit a test: no pause before the drain, and a short one."""
    return ProcessSettings(**{"drain_delay_s": 0, "drain_timeout_s": 0.2, "request_log": False, **values})


@asynccontextmanager
async def running_server(
    register: Register,
    services: Sequence[str] = (),
    *,
    readiness: Readiness | None = None,
    edge: bool = False,
    metrics: RpcMetrics | None = None,
    parcels: bool = False,
    **values: Any,
) -> AsyncIterator[GrpcServer]:
    """Runs a server of servicekit while the context is open; further values are settings."""
    metrics = metrics or RpcMetrics("server", CollectorRegistry())
    server = GrpcServer(settings(**values), services, register, edge=edge, metrics=metrics, parcels=parcels)
    await server.start()
    try:
        async with background(server.follow(readiness or Readiness())):
            yield server
    finally:
        await server.drain()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a plain channel to a port and waits until it is connected."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await asyncio.wait_for(channel.channel_ready(), 5)
        yield channel


async def eventually(holds: Callable[[], Awaitable[bool] | bool], within_s: float = 5.0) -> None:
    """Waits until a condition holds.

    Raises:
        TimeoutError: it does not in time.
    """
    async with asyncio.timeout(within_s):
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
