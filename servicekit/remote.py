"""Calls to a neighbour: every one with a deadline, the caller's ids, metrics, and errors of our own tree."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

import grpc

from servicekit import context, tracing
from servicekit.errors import Code, DeadlineExceeded, TriptychError
from servicekit.metrics import RpcMetrics, method_labels
from servicekit.parcel import method_codecs
from servicekit.spans import Kind
from servicekit.status import from_rpc_error
from servicekit.tracing import rpc_attributes

Request = TypeVar("Request")
Response = TypeVar("Response")


class RemoteMethod(Generic[Request, Response]):
    """Is one unary method of one neighbour; messages that hold a tensor are parcels (`servicekit.parcel`)."""

    def __init__(self, neighbour: str, full_method: str, channel: grpc.aio.Channel, metrics: RpcMetrics) -> None:
        """Binds the method.

        Args:
            neighbour: the word that errors use for the service.
            full_method: `/package.Service/Method`, whose generated module has been imported.
            channel: leads to the service.
            metrics: where calls are counted.
        """
        self._neighbour = neighbour
        self._attributes = rpc_attributes(full_method, channel)
        self._metrics = metrics.method(method_labels(full_method))
        request, response = method_codecs(full_method)
        self._call: Any = channel.unary_unary(
            full_method, request_serializer=request.encode, response_deserializer=response.decode
        )

    async def __call__(self, request: Request, timeout_s: float) -> Response:
        """Calls the method.

        Raises:
            DeadlineExceeded: `timeout_s` is not positive, so nothing was sent, or it ran out.
            TriptychError: whatever the neighbour answered; Unavailable when it cannot be reached.
        """
        with tracing.call(self._attributes, Kind.CLIENT):
            return await self._counted(request, timeout_s)

    async def _counted(self, request: Request, timeout_s: float) -> Response:
        if timeout_s <= 0:
            raise DeadlineExceeded(f"No time was left to call the {self._neighbour} service.")
        self._metrics.begin(timeout_s)
        start = time.perf_counter()
        code = Code.INTERNAL.name
        try:
            self._metrics.sent.inc()
            response: Response = await self._call(request, timeout=timeout_s, metadata=_metadata())
            code = "OK"
            self._metrics.received.inc()
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            raise from_rpc_error(error, self._neighbour) from None
        except asyncio.CancelledError:
            code = Code.CANCELLED.name
            raise
        except TriptychError as error:  # of a neighbour in the same process
            code = error.code.name
            raise
        finally:
            self._metrics.end(code, time.perf_counter() - start)
        return response


class RemoteStream(Generic[Request, Response]):
    """Is one method of one neighbour that answers with a stream; as little a step of a trace as other streams are."""

    def __init__(self, neighbour: str, full_method: str, channel: grpc.aio.Channel, metrics: RpcMetrics) -> None:
        """Binds the method; the arguments are those of `RemoteMethod`."""
        self._neighbour = neighbour
        self._metrics = metrics.method(method_labels(full_method, "server_stream"))
        request, response = method_codecs(full_method)
        self._call: Any = channel.unary_stream(
            full_method, request_serializer=request.encode, response_deserializer=response.decode
        )

    async def __call__(self, request: Request, timeout_s: float | None) -> AsyncIterator[Response]:
        """Calls the method, and yields what it answers; whoever stops listening ends the call.

        Raises:
            TriptychError: whatever the neighbour answered; Unavailable when it cannot be reached.
        """
        self._metrics.begin(timeout_s)
        start = time.perf_counter()
        code = Code.CANCELLED.name
        self._metrics.sent.inc()
        call = self._call(request, timeout=timeout_s, metadata=_metadata())
        try:
            async for response in call:
                self._metrics.received.inc()
                yield response
            code = "OK"
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            raise from_rpc_error(error, self._neighbour) from None
        finally:
            call.cancel()  # does nothing to a call that has ended
            self._metrics.end(code, time.perf_counter() - start)


def _metadata() -> Any:
    asking = context.current()
    return asking.metadata() if asking else None
