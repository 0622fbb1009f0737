"""Asks a process whether it is ready, by the standard health service; Triton has one too."""

import asyncio
from collections.abc import AsyncIterator
from enum import Enum, auto

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from localcluster.layout import ProcessSpec, reachable

_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 200),  # a process that comes back is seen at once
    ("grpc.use_local_subchannel_pool", 1),
]


class Answer(Enum):
    """Says what came of one check."""

    SERVING = auto()
    NOT_SERVING = auto()
    ABSENT = auto()
    """Nobody listens: it has not begun to, or has stopped in order to drain."""
    SILENT = auto()
    """It holds the line and says nothing, until the check's time is up."""


async def serving(spec: ProcessSpec, *, timeout_s: float = 1.0) -> AsyncIterator[Answer]:
    """Asks again and again, forever, and yields what comes of it; soon again unless it was yes."""
    async with grpc.aio.insecure_channel(reachable(spec.host, spec.ports["grpc"]), options=_OPTIONS) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=spec.health_service)
        while True:
            try:
                reply = await stub.Check(request, timeout=timeout_s)
                ready = reply.status == health_pb2.HealthCheckResponse.SERVING
                answer = Answer.SERVING if ready else Answer.NOT_SERVING
            except grpc.aio.AioRpcError as error:
                answer = Answer.SILENT if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else Answer.ABSENT
            yield answer
            await asyncio.sleep(1.0 if answer is Answer.SERVING else 0.1)
