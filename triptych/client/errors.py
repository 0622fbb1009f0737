"""The one error that the client raises."""

from typing import Self

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from triptych.classification.v1 import classification_service_pb2

STATUS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

Trailers = dict[str, str | bytes]


class ClassifyError(Exception):
    """Says why a call failed.

    Attributes:
        code: the canonical status code, such as `INVALID_ARGUMENT`.
        message: one sentence for a person.
        reason: the machine-readable reason, such as `IMAGE_CORRUPT`; empty when the answer did not come from Triptych.
        field: path of the field at fault, such as `images[3].content`; empty when none is.
        retry_after_s: how long to wait before the same call may succeed; None when the server did not say.
        request_id: id of the call in the server's logs.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        reason: str = "",
        field: str = "",
        retry_after_s: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.field = field
        self.retry_after_s = retry_after_s
        self.request_id = request_id

    def __str__(self) -> str:
        where = f" [{self.field}]" if self.field else ""
        return f"{self.code}{f'/{self.reason}' if self.reason else ''}: {self.message}{where}"

    @classmethod
    def from_call(cls, code: grpc.StatusCode, details: str, trailers: Trailers, request_id: str, target: str) -> Self:
        """Reads the outcome of a failed call."""
        parsed = trailers.get(STATUS_KEY)
        status = (
            status_pb2.Status.FromString(parsed) if isinstance(parsed, bytes) else status_pb2.Status(message=details)
        )
        error = cls.from_status(code.name, status, request_id)
        if error.retry_after_s is None:
            error.retry_after_s = _pushback_s(trailers)
        if not error.reason:
            error.message = _in_words(code, details, target) or error.message
        return error

    @classmethod
    def from_status(cls, code: str, status: status_pb2.Status, request_id: str) -> Self:
        """Reads a google.rpc.Status with its details."""
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        for detail in status.details:
            _unpack(detail, info, bad, retry)
        return cls(
            code,
            status.message,
            reason=info.reason,
            field=bad.field_violations[0].field if bad.field_violations else "",
            retry_after_s=retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None,
            request_id=request_id,
        )

    @classmethod
    def from_frame(cls, error: classification_service_pb2.FrameError) -> Self:
        """Reads the error of one frame."""
        return cls(code_pb2.Code.Name(error.code), error.message, reason=error.reason, field=error.field)


# What gRPC itself reports is written for its developers. These parts of it tell the cases apart.
_CONNECTION = (
    ("http1.x server", "{target} speaks HTTP, not gRPC. Name the gateway's gRPC port (8081 unless chosen otherwise)."),
    ("lookup", "The host of {target} cannot be found: its name is unknown here."),
    ("resolving", "The host of {target} cannot be found: its name is unknown here."),
    ("resolution", "The host of {target} cannot be found: its name is unknown here."),
    ("certificate has expired", "The certificate of {target} has ended."),
    (
        "certificate_verify_failed",
        "The certificate of {target} is from nobody who is trusted here: name its authority.",
    ),
    ("hostname verification", "The certificate of {target} is for another name."),
    ("wrong_version_number", "{target} does not speak TLS."),
    (
        "missing selected alpn",
        "{target} speaks HTTP, not gRPC. Name the gateway's gRPC port (8081 unless chosen otherwise).",
    ),
    ("refused", "Nothing answers at {target}: the connection was refused."),
    ("timed out", "Nothing answers at {target}: connecting took too long."),
    ("unreachable", "Nothing answers at {target}: there is no way to this network or host."),
    ("to all addresses", "{target} closes the connection at once: it may want TLS, or a certificate of the client."),
)


def _in_words(code: grpc.StatusCode, details: str, target: str) -> str:
    """Returns a sentence for a failure that gRPC reports by itself; empty where its own text will do."""
    if code is grpc.StatusCode.UNAVAILABLE:
        sentences = (sentence for mark, sentence in _CONNECTION if mark in details.lower())
        return next(sentences, "The connection to {target} broke.").format(target=target)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return "The images are too large for one message, which holds 64 MiB."
    if code is grpc.StatusCode.CANCELLED:
        return "The call was cancelled."
    return ""


def _unpack(
    detail: any_pb2.Any,
    *wanted: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> None:
    for message in wanted:
        detail.Unpack(message)


def _pushback_s(trailers: Trailers) -> float | None:
    value = trailers.get(PUSHBACK_KEY, "")
    return int(value) / 1e3 if isinstance(value, str) and value.isdecimal() else None
