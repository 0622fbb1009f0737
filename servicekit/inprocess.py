"""Services in the caller's own process: the same servicers and the same generated code, without a wire.

Messages are handed over as they are, neither serialized nor copied; an error of ours arrives as it was raised.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servicekit import context, tracing
from servicekit.errors import DeadlineExceeded, Internal, TriptychError, Unavailable
from servicekit.service import Service
from servicekit.spans import Kind
from servicekit.tracing import rpc_attributes

log = structlog.get_logger()


class InProcessServer:
    """Takes services, as a `grpc.aio.Server` does, and calls them for whoever holds a channel to it."""

    def __init__(self, services: Sequence[Service]) -> None:
        """Adds the services, and one that tells their health."""
        self._handlers: dict[str, Any] = {}
        for service in services:
            service.register(self)
        health_pb2_grpc.add_HealthServicer_to_server(_Health(services), self)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Takes the handlers of a service; generated code calls it."""
        self._handlers.update({f"/{service}/{name}": handler.unary_unary for name, handler in handlers.items()})

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Does nothing: generated code gives each handler by its name as well."""

    def connect(self, *_: Any, **__: Any) -> Any:
        """Returns a channel, whatever target and options were asked for."""
        return _Channel(self._handlers)


class _Channel:
    """Is what stubs need of a `grpc.aio.Channel`."""

    rpc_system = "triptych_inprocess"

    def __init__(self, handlers: Mapping[str, Any]) -> None:
        self._handlers = handlers

    def unary_unary(self, method: str, *_: Any, **__: Any) -> "_Method":
        return _Method(method, self._handlers[method])

    def unary_stream(self, method: str, *_: Any, **__: Any) -> "_Method":
        return _Method(method, self._handlers.get(method))

    def get_state(self, **_: Any) -> grpc.ChannelConnectivity:
        return grpc.ChannelConnectivity.READY

    async def close(self) -> None:
        pass


class _Method:
    def __init__(self, name: str, handler: Any) -> None:
        self._attributes = rpc_attributes(name, _Channel)
        self._handler = handler

    async def __call__(self, request: Any, *, timeout: float, **_: Any) -> Any:  # noqa: ASYNC109 (gRPC's own name)
        """Runs the servicer's method in the caller's task.

        Raises:
            TriptychError: what the servicer raised.
        """
        with tracing.call(self._attributes, Kind.SERVER):
            return await self._handled(request, timeout)

    async def _handled(self, request: Any, timeout_s: float) -> Any:
        try:
            with context.deadline(timeout_s):
                async with asyncio.timeout(timeout_s):
                    return await self._handler(request, None)
        except TriptychError:
            raise
        except TimeoutError:
            raise DeadlineExceeded(f"The call did not finish within {timeout_s:.3g} s.") from None
        except Exception:
            log.exception("unexpected error")
            raise Internal("Something went wrong inside Triptych.") from None


class _Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """Tells of each service whether it is ready."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = {name: service for service in services for name in service.names}

    async def Check(self, request: Any, _: object) -> health_pb2.HealthCheckResponse:  # noqa: N802 (the contract's name)
        readiness = self._services[request.service].readiness
        if not readiness.ready:
            raise Unavailable(next(iter(readiness.failing().values())))
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
