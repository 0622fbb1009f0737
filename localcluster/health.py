"""Asks a process whether it is ready, by the standard health service; Triton has one too."""

import asyncio
from collections.abc import AsyncIterator

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from localcluster.layout import ProcessSpec

_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 200),  # a process that comes back is seen at once
    ("grpc.use_local_subchannel_pool", 1),
]


async def serving(spec: ProcessSpec, *, timeout_s: float = 1.0) -> AsyncIterator[bool | None]:
    """Asks again and again and yields each answer, None where there was none, forever; soon again unless it was yes."""
    host = "127.0.0.1" if spec.host == "0.0.0.0" else spec.host  # noqa: S104 (compared, not listened on)
    async with grpc.aio.insecure_channel(f"{host}:{spec.ports['grpc']}", options=_OPTIONS) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=spec.health_service)
        while True:
            try:
                reply = await stub.Check(request, timeout=timeout_s)
                ready: bool | None = bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
            except grpc.aio.AioRpcError:
                ready = None
            yield ready
            await asyncio.sleep(0.5 if ready else 0.1)
