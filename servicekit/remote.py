"""Calls to a neighbour: every one with a deadline, the caller's ids, metrics, and errors of our own tree."""

import time
from typing import Any, Generic, TypeVar

import grpc

from servicekit import context
from servicekit.errors import Code, DeadlineExceeded
from servicekit.metrics import RpcMetrics, method_labels
from servicekit.status import from_rpc_error

Request = TypeVar("Request")
Response = TypeVar("Response")


class RemoteMethod(Generic[Request, Response]):
    """Is one unary method of one neighbour."""

    def __init__(
        self,
        neighbour: str,
        full_method: str,
        stub: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]",
        metrics: RpcMetrics,
    ) -> None:
        """Binds the stub's method; `neighbour` is the word that errors use for the service."""
        self._neighbour = neighbour
        self._labels = method_labels(full_method)
        self._stub = stub
        self._metrics = metrics
        self._received, self._sent = metrics.messages(self._labels)

    async def __call__(self, request: Request, timeout_s: float) -> Response:
        """Calls the method.

        Raises:
            DeadlineExceeded: `timeout_s` is not positive, so nothing was sent, or it ran out.
            TriptychError: whatever the neighbour answered; Unavailable when it cannot be reached.
        """
        if timeout_s <= 0:
            raise DeadlineExceeded(f"No time was left to call the {self._neighbour} service.")
        self._metrics.begin(self._labels)
        start = time.perf_counter()
        code = Code.CANCELLED.name
        try:
            self._sent.inc()
            response = await self._stub(request, timeout=timeout_s, metadata=_metadata())
            code = "OK"
            self._received.inc()
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            raise from_rpc_error(error, self._neighbour) from None
        finally:
            self._metrics.end(self._labels, code, time.perf_counter() - start)
        return response


def _metadata() -> Any:
    asking = context.current()
    return asking.metadata() if asking else None
