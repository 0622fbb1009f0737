"""Real servers, of gRPC and of links, on free ports of the loopback interface, ready when their context opens."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from fakes.certificates import USUAL
from prometheus_client import CollectorRegistry

from servicekit.channel import open_channel
from servicekit.health import Readiness
from servicekit.metrics import RpcMetrics
from servicekit.server import GrpcServer, background
from servicekit.service import Register
from servicekit.settings import MIB, ProcessSettings
from servicekit.tls import Tls
from servicekit.tracing import Tracer


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
    tracer: Tracer | None = None,
    parcels: bool = False,
    link_port: int = 0,
    tls: Tls | None = None,
    **values: Any,
) -> AsyncIterator[GrpcServer]:
    """Runs a server of servicekit while the context is open; further values are settings."""
    metrics = metrics or RpcMetrics("server", CollectorRegistry())
    server = GrpcServer(
        settings(**values),
        services,
        register,
        edge=edge,
        metrics=metrics,
        tracer=tracer,
        parcels=parcels,
        tls=tls or USUAL.tls,
    )
    await server.start()
    await server.start_link(link_port)
    try:
        async with background(server.follow(readiness or Readiness())):
            yield server
    finally:
        await server.drain()


@asynccontextmanager
async def connected(port: int, *, wait: bool = True) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a plain channel to a port and waits until it is connected."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        if wait:
            await asyncio.wait_for(channel.channel_ready(), 5)
        yield channel


@asynccontextmanager
async def opened(
    target: str,
    *,
    max_message_bytes: int = 8 * MIB,
    health_service: str | None = None,
    tls: Tls | None = None,
    server_name: str | None = None,
) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel as the gateway does."""
    channel = open_channel(
        target,
        max_message_bytes=max_message_bytes,
        health_service=health_service,
        tls=tls or USUAL.tls,
        server_name=server_name,
    )
    try:
        yield channel
    finally:
        await channel.close()


def link_target(*ports: int) -> str:
    """Returns the name of replicas on this machine that serve links."""
    return "link:" + ",".join(f"127.0.0.1:{port}" for port in ports)


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
