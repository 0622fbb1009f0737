"""One call on the server's side of a link: what layers and servicers need of gRPC's context."""

import time
from collections.abc import Sequence
from typing import Any, NoReturn

import grpc

from triptych.link.v1.link_pb2 import Begin, Failure

RPC_SYSTEM = "triptych_link"
"""What traces call a link, where they call gRPC `grpc`."""
STATUS_DETAILS = "grpc-status-details-bin"
"""Key of gRPC's metadata under which a google.rpc.Status travels."""


class CallContext:
    """Is what a `grpc.aio.ServicerContext` tells and takes of a unary call."""

    rpc_system = RPC_SYSTEM

    def __init__(self, begin: Begin) -> None:
        self._metadata = tuple(begin.metadata.items())
        self._ends_s = time.monotonic() + max(0.0, begin.time_left_ms) / 1e3  # what is no number is 0, too
        self._code: Any = 0
        self.failure = Failure()
        self.details = b""
        """The google.rpc.Status of the failure, or nothing."""

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """Returns what came with the call."""
        return self._metadata

    def time_remaining(self) -> float:
        """Returns the seconds that the caller still waits."""
        return self._ends_s - time.monotonic()

    def code(self) -> Any:
        """Returns the code that the call ended with; 0 before, and when it ended well."""
        return self._code

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """Ends the call.

        Raises:
            AbortError: always.
        """
        self._code = code
        self.failure = failure(code, details)
        self.details = dict(trailing_metadata).get(STATUS_DETAILS, b"")
        raise grpc.aio.AbortError


def failure(code: grpc.StatusCode, message: str) -> Failure:
    """Returns how a call failed."""
    return Failure(code=code.value[0], message=message)
