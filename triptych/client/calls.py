"""What both clients share about a call: its channel, its metadata, its deadline and its second attempt."""

import json
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc

from triptych.client.errors import ClassifyError, Trailers
from triptych.client.requests import MAX_MESSAGE_BYTES, new_request_id, target_name
from triptych.client.retry import Retry

REQUEST_ID_KEY = "x-request-id"
ROUTE_KEY_KEY = "x-route-key"
TENANT_KEY = "x-tenant"
SERVICE = "triptych.classification.v1.ClassificationService"
PAGE_SIZE = 1000

CHANNEL_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),  # the default, 256 KiB, would rule out transparent retries
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
]


def open_channel(make: Any, address: str, credentials: grpc.ChannelCredentials | None) -> Any:
    """Opens a channel to what `gateway_address` returned; `make` is `grpc` or `grpc.aio`."""
    if credentials is None:
        return make.insecure_channel(target_name(address), options=CHANNEL_OPTIONS)
    return make.secure_channel(target_name(address), credentials, options=CHANNEL_OPTIONS)


@dataclass(frozen=True, slots=True)
class Asker:
    """Says who sends a request, as far as experiments and logs want to know.

    Raises:
        ValueError: a value cannot be sent.
    """

    request_id: str = field(default_factory=new_request_id)
    route_key: str = ""
    tenant: str = ""

    def __post_init__(self) -> None:
        for name in ("request_id", "route_key", "tenant"):
            value = getattr(self, name)
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"{name} must consist of printable ASCII characters, not {value!r}.")

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns what to send along."""
        pairs = ((REQUEST_ID_KEY, self.request_id), (ROUTE_KEY_KEY, self.route_key), (TENANT_KEY, self.tenant))
        return tuple((key, value) for key, value in pairs if value)


def asker(request_id: str | None, route_key: str, tenant: str) -> Asker:
    """Returns who asks; without a request id one is made up.

    Raises:
        ValueError: a value cannot be sent.
    """
    return Asker(request_id or new_request_id(), route_key, tenant)


class FailedCall(Protocol):
    """Is what the errors of gRPC's two APIs have in common."""

    def code(self) -> grpc.StatusCode: ...  # noqa: D102
    def details(self) -> str | None: ...  # noqa: D102
    def trailing_metadata(self) -> object: ...  # noqa: D102


class Attempts:
    """Accounts for the attempts of one call."""

    def __init__(self, retry: Retry, target: str, timeout_s: float | None, asker: Asker) -> None:
        self._retry = retry
        self._target = target
        self._timeout_s = timeout_s
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._asker = asker
        self._failed = False
        retry.budget.earn()

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns what to send along."""
        return self._asker.metadata

    @property
    def remaining_s(self) -> float | None:
        """Returns the time until the caller's deadline, None when there is none."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def error(self, failure: FailedCall) -> ClassifyError:
        """Returns the error to raise for a failed call."""
        trailers = _trailers(failure.trailing_metadata())
        details, request_id = failure.details() or "", self._asker.request_id
        error = ClassifyError.from_call(failure.code(), details, trailers, request_id, self._target)
        if error.code == "DEADLINE_EXCEEDED" and not error.reason and self._timeout_s is not None:
            error.message = f"No answer within {self._timeout_s:g} s."
        return error

    def pause_s(self, failure: FailedCall) -> float:
        """Returns how long to wait before the next attempt.

        Raises:
            ClassifyError: there shall be none.
        """
        error = self.error(failure)
        remaining_s = float("inf") if self.remaining_s is None else self.remaining_s
        pause_s = None if self._failed else self._retry.pause_s(error, remaining_s)
        if pause_s is None:
            raise error from None
        self._failed = True
        return pause_s


def closed_error() -> RuntimeError:
    """Returns the error of calls on a client that was closed."""
    return RuntimeError("This client is closed; make a new one.")


def _trailers(metadata: object) -> Trailers:
    return dict(metadata) if metadata else {}  # type: ignore[call-overload] # pairs, in both APIs
