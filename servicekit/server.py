"""The life of a process: listen, become ready, serve, and on SIGTERM or SIGINT drain without losing a request."""

import asyncio
import gc
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import grpc
import prometheus_client
import structlog
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from servicekit.channel import server_options
from servicekit.health import Readiness
from servicekit.interceptors import layers_about
from servicekit.link.server import LinkServer
from servicekit.logging import configure_logging
from servicekit.manifest import ManifestError
from servicekit.memory import keep_freed_memory
from servicekit.metrics import RpcMetrics, show_process
from servicekit.monitor import start_monitor
from servicekit.service import Register, Service
from servicekit.settings import ProcessSettings, ServiceSettings, SettingsError
from servicekit.tls import INTERNAL, Tls, following
from servicekit.tls_files import TlsError
from servicekit.tls_grpc import CallersInterceptor, server_credentials
from servicekit.tracing import Tracer

log = structlog.get_logger()

S = TypeVar("S", bound=ProcessSettings)

CATCH_UP_PAUSE_S = 0.03
CATCH_UP_TIMEOUT_S = 1.0
GARBAGE_THRESHOLD = 20_000
"""Containers made, less those freed, before cycles are looked for. The default of 700 comes with every few requests."""


class GrpcServer:
    """Is a gRPC server with health, limits, interceptors and an orderly end; where wanted, it serves links too."""

    def __init__(  # noqa: PLR0913 (each is a choice of its own)
        self,
        settings: ProcessSettings,
        services: Sequence[str],
        register: Register,
        *,
        edge: bool = False,
        metrics: RpcMetrics | None = None,
        tracer: Tracer | None = None,
        probes: Collection[str] = (),
        parcels: bool = False,
        tls: Tls | None = None,
    ) -> None:
        """Prepares the server.

        Args:
            settings: the process's.
            services: full names of the services whose health is readiness.
            register: adds their servicers.
            edge: whether outside callers talk to this server.
            metrics: replaces the process's own, of which there can be only one.
            tracer: begins the spans of requests that are traced; None traces nothing.
            probes: methods that others call only to see how the process is; they are not logged.
            parcels: whether the servicers take and return parcels where a message holds a tensor.
            tls: who this server is, and whom it trusts; without it nothing is encrypted.
        """
        self._tls = tls
        self._settings = settings
        self._services = services
        self._health = HealthServicer()
        metrics = metrics or RpcMetrics("server")
        self._layers = layers = layers_about(settings, metrics, tracer, edge=edge, probes=probes, parcels=parcels)
        options = server_options(settings.max_message_bytes, settings.max_connection_age_s)
        callers = [CallersInterceptor(tls)] if tls is not None and tls.callers else []
        self._server = grpc.aio.server(interceptors=[*callers, layers], options=options)
        self._link = LinkServer(layers, settings.max_message_bytes)
        for server in (self._server, self._link):
            register(server)
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if settings.reflection:
            names = (*services, "grpc.health.v1.Health", reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        self.port = self.link_port = 0
        self._draining = False

    async def start(self) -> None:
        """Listens: alive at once, ready when `follow` says so.

        Raises:
            OSError: the port is taken.
        """
        address = f"{self._settings.host}:{self._settings.port}"
        try:
            self.port = self._add_port(address)
        except RuntimeError:
            raise OSError(f"cannot listen on {address}: is the port taken?") from None
        await self._server.start()
        await self._set_health(ready=False)

    def _add_port(self, address: str) -> int:
        if self._tls is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, server_credentials(self._tls))

    async def start_link(self, port: int) -> None:
        """Listens for links as well.

        Raises:
            OSError: the port is taken.
        """
        host = self._settings.host
        try:
            self.link_port = await self._link.start(host.strip("[]"), port, self._tls)  # gRPC wants those about IPv6
        except OSError:
            raise OSError(f"cannot listen on {host}:{port} for links: is the port taken?") from None

    async def follow(self, readiness: Readiness) -> None:
        """Keeps the health service in step with `readiness`, forever."""
        async for ready in readiness.changes():
            await self._set_health(ready=ready and not self._draining)

    async def _set_health(self, *, ready: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        self._link.set_ready(ready=ready)  # first, so that no state overtakes a later one while this waits
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)  # liveness: true until the process ends
        for service in self._services:
            await self._health.set(service, status)

    async def drain(self) -> None:
        """Says 'not serving', waits until callers have turned away, finishes what was accepted, stops."""
        self._draining = True
        await self._set_health(ready=False)
        await asyncio.sleep(self._settings.drain_delay_s)
        await self._catch_up()
        grace_s = self._settings.drain_timeout_s
        await asyncio.gather(self._server.stop(grace_s), self._link.stop(grace_s))

    async def _catch_up(self) -> None:
        """Waits until calls that have arrived are taken, one after the other: gRPC cancels those that are not.

        They are when none was taken in a pause that took no longer than it should. A server that is never so idle is
        stopped after `CATCH_UP_TIMEOUT_S` all the same.
        """
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + CATCH_UP_TIMEOUT_S
        while (began := clock()) < give_up_at:
            taken = self._layers.taken
            await asyncio.sleep(CATCH_UP_PAUSE_S)
            if self._layers.taken == taken and clock() - began < 2 * CATCH_UP_PAUSE_S:
                return


async def serve(settings: ServiceSettings, service: Service, tracer: Tracer | None = None) -> None:
    """Serves until SIGTERM or SIGINT, then drains."""
    async with following(INTERNAL, settings.tls_files, settings.tls_allowed_callers) as tls:
        server = GrpcServer(
            settings, service.names, service.register, tracer=tracer, probes=service.probes, parcels=True, tls=tls
        )
        await server.start()
        ports = {"grpc": server.port, "metrics": start_monitor(settings, service.readiness)}
        if settings.link_port is not None:
            await server.start_link(settings.link_port)
            ports["link"] = server.link_port
        announce(settings.announce_file, ports)
        log.info("listening", host=settings.host, **ports)
        async with background(server.follow(service.readiness)):
            await stop_signal()
            log.info("draining")
            await service.readiness.set("process", "It is shutting down.")
            await server.drain()
        log.info("stopped")


def announce(path: Path | None, ports: dict[str, int]) -> None:
    """Tells whoever started the process which ports it got, atomically."""
    if path is None:
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps({"pid": os.getpid(), **ports}))
    partial.replace(path)


async def stop_signal() -> None:
    """Waits for SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


@asynccontextmanager
async def background(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs endless jobs while the context is open; one that fails is logged at once."""
    tasks = [asyncio.create_task(job) for job in jobs]
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a background job failed", exc_info=task.exception())


@contextmanager
def open_tracer(settings: ProcessSettings, service: str, ratio: float) -> Iterator[Tracer | None]:
    """Yields what begins traces, and sends what is left of them with the end of the context; None without a collector.

    Args:
        settings: the process's.
        service: its name.
        ratio: share of the requests to trace of those that come without a trace.
    """
    if settings.otlp_endpoint is None:
        yield None
        return
    from servicekit.telemetry import Telemetry  # noqa: PLC0415 (what is off is not even loaded)

    telemetry = Telemetry(settings.otlp_endpoint, service)
    try:
        yield Tracer(telemetry, ratio)
    finally:
        telemetry.close()


def main(
    service: str, settings_type: type[S], run: Callable[[S, Tracer | None], Awaitable[None]], *, edge: bool = False
) -> int:
    """Runs a process: settings, logs, traces, event loop. Returns the exit code.

    Args:
        service: the process's name.
        settings_type: reads its settings.
        run: serves until the process is told to stop; it is given what begins traces, if they are on.
        edge: whether traces may begin here.
    """
    try:
        settings = settings_type.load()
    except SettingsError as error:
        raise SystemExit(f"{service}: {error}") from None
    configure_logging(settings, service)
    keep_freed_memory()
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # a series more for each, of no use
    show_process(service)
    log.info("starting", settings=settings.describe())

    async def body() -> None:
        with open_tracer(settings, service, settings.trace_sample_ratio if edge else 0.0) as tracer:
            gc.freeze()  # what was imported stays: no use in visiting it again and again
            gc.set_threshold(GARBAGE_THRESHOLD)
            await run(settings, tracer)

    try:
        uvloop.run(body())
    except (ManifestError, TlsError) as error:
        raise SystemExit(f"{service}: {error}") from None
    return 0
