"""Asks a process whether it is ready: by the standard health service, which Triton has too, or over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from functools import partial
from typing import Any

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
    async with _asking(spec, timeout_s) as ask:
        while True:
            answer = await ask()
            yield answer
            await asyncio.sleep(1.0 if answer is Answer.SERVING else 0.1)


@asynccontextmanager
async def _asking(spec: ProcessSpec, timeout_s: float) -> AsyncIterator[Callable[[], Awaitable[Answer]]]:
    """Yields what asks once."""
    if spec.over_http:
        yield partial(_readyz, spec, timeout_s)
        return
    address = reachable(spec.host, spec.ports["grpc"])
    if spec.tls is None:
        channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
    else:
        channel = grpc.aio.secure_channel(address, spec.tls.credentials(), options=_OPTIONS)
    async with channel:
        yield partial(_check, health_pb2_grpc.HealthStub(channel), spec, timeout_s)


async def _check(stub: Any, spec: ProcessSpec, timeout_s: float) -> Answer:
    try:
        reply = await stub.Check(health_pb2.HealthCheckRequest(service=spec.health_service), timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        return Answer.SILENT if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else Answer.ABSENT
    return Answer.SERVING if reply.status == health_pb2.HealthCheckResponse.SERVING else Answer.NOT_SERVING


async def _readyz(spec: ProcessSpec, timeout_s: float) -> Answer:
    host, _, port = reachable(spec.host, spec.ports["metrics"]).rpartition(":")
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
                status = (await reader.readline()).split()[1:2]
            finally:
                writer.close()
    except TimeoutError:
        return Answer.SILENT
    except OSError:
        return Answer.ABSENT
    return {(b"200",): Answer.SERVING, (): Answer.ABSENT}.get(tuple(status), Answer.NOT_SERVING)
