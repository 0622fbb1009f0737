"""The line to a gateway: calls methods of its contract, for `Client` and for the command line."""

import time
from collections.abc import Iterator
from typing import TypeVar

import grpc

from triptych.client.calls import Asker, Attempts, closed_error, open_channel
from triptych.client.requests import gateway_address
from triptych.client.retry import Retry
from triptych.client.tls import Tls, credentials

Q = TypeVar("Q")
A = TypeVar("A")


class Line:
    """Is a line to a gateway. Safe to share between threads; connects on the first call."""

    def __init__(self, target: str, tls: Tls | None = None) -> None:
        """Prepares a line; arguments and errors are those of `Client`."""
        self.target = gateway_address(target)
        self.channel: grpc.Channel = open_channel(grpc, self.target, credentials(self.target, tls))
        self._retry = Retry()
        self._closed = False

    def call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Q, A]",
        request: Q,
        timeout_s: float,
        asker: Asker | None = None,
        *,
        repeatable: bool = True,
    ) -> A:
        """Calls a method that answers once.

        Args:
            method: of a stub on `channel`.
            request: what to send.
            timeout_s: how long it may take, a second attempt included.
            asker: who asks; None is nobody in particular.
            repeatable: whether it does no harm to do it twice; else there is no second attempt.

        Raises:
            ClassifyError: the call failed.
            RuntimeError: the line is closed.
        """
        attempts = self.attempts(timeout_s, asker)
        while True:
            try:
                return method(request, timeout=attempts.remaining_s, metadata=attempts.metadata)
            except grpc.RpcError as failure:
                if not repeatable:
                    raise attempts.error(failure) from None
                time.sleep(attempts.pause_s(failure))

    def stream(
        self, method: "grpc.UnaryStreamMultiCallable[Q, A]", request: Q, timeout_s: float | None = None
    ) -> Iterator[A]:
        """Calls a method that answers with a stream; one that breaks is not tried again.

        Raises:
            ClassifyError: the call failed.
            RuntimeError: the line is closed.
        """
        attempts = self.attempts(timeout_s)
        call = method(request, timeout=attempts.remaining_s, metadata=attempts.metadata)
        try:
            yield from call
        except grpc.RpcError as failure:
            raise attempts.error(failure) from None
        finally:
            call.cancel()  # the caller may have had enough

    def attempts(self, timeout_s: float | None, asker: Asker | None = None) -> Attempts:
        """Returns the account of a new call.

        Raises:
            RuntimeError: the line is closed.
        """
        self.require_open()
        return Attempts(self._retry, self.target, timeout_s, asker or Asker())

    def require_open(self) -> None:
        """Raises RuntimeError where the line is closed."""
        if self._closed:
            raise closed_error()

    def close(self) -> None:
        """Ends the connections."""
        self._closed = True
        self.channel.close()
