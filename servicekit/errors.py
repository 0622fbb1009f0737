"""One tree of errors, one table of codes.

Plain Python on purpose: the pure modules (transforms, ranking, routing) raise these without knowing a transport.
`servicekit.status` turns them into google.rpc.Status, the gateway's HTTP adapter into the AIP-193 JSON shape.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import ClassVar


class Code(IntEnum):
    """Names the canonical status codes, with the numbers of google.rpc.Code."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Reason(StrEnum):
    """Names every machine-readable reason that Triptych answers with; `docs/api.md` explains each to callers."""

    REQUEST_MALFORMED = "REQUEST_MALFORMED"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    MEDIA_TYPE_UNSUPPORTED = "MEDIA_TYPE_UNSUPPORTED"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    METHOD_NOT_FOUND = "METHOD_NOT_FOUND"
    FIELD_MISSING = "FIELD_MISSING"
    FIELD_UNKNOWN = "FIELD_UNKNOWN"
    FIELD_INVALID = "FIELD_INVALID"
    IMAGES_MISSING = "IMAGES_MISSING"
    IMAGES_TOO_MANY = "IMAGES_TOO_MANY"
    IMAGE_EMPTY = "IMAGE_EMPTY"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    IMAGE_BASE64_INVALID = "IMAGE_BASE64_INVALID"
    IMAGE_FORMAT_UNSUPPORTED = "IMAGE_FORMAT_UNSUPPORTED"
    IMAGE_CORRUPT = "IMAGE_CORRUPT"
    IMAGE_DIMENSIONS_EXCEEDED = "IMAGE_DIMENSIONS_EXCEEDED"
    IMAGE_TOO_COMPLEX = "IMAGE_TOO_COMPLEX"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    MODEL_VERSION_NOT_FOUND = "MODEL_VERSION_NOT_FOUND"
    MODEL_NOT_READY = "MODEL_NOT_READY"
    TENSOR_INVALID = "TENSOR_INVALID"
    LOGITS_NOT_FINITE = "LOGITS_NOT_FINITE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CALLER_CANCELLED = "CALLER_CANCELLED"
    QUEUE_FULL = "QUEUE_FULL"
    MODEL_QUEUE_FULL = "MODEL_QUEUE_FULL"
    DEPENDENCY_UNAVAILABLE = "DEPENDENCY_UNAVAILABLE"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    EXPERIMENTS_OFF = "EXPERIMENTS_OFF"
    EXPERIMENT_NOT_FOUND = "EXPERIMENT_NOT_FOUND"
    EXPERIMENT_EXISTS = "EXPERIMENT_EXISTS"
    EXPERIMENT_STATE = "EXPERIMENT_STATE"
    EXPERIMENT_WITHOUT_EFFECT = "EXPERIMENT_WITHOUT_EFFECT"
    STORE_FULL = "STORE_FULL"
    INTERNAL = "INTERNAL"


class TriptychError(Exception):
    """Roots every error that may cross a process border.

    Its message is shown to callers: a full sentence that names the field and the limit, never a path, host or tensor.
    """

    code: ClassVar[Code] = Code.INTERNAL
    default_reason: ClassVar[Reason] = Reason.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        field: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        """Keeps the sentence, the reason, the field at fault and, when shed, how long to wait before a retry."""
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.field = field
        self.retry_after_s = retry_after_s

    def at(self, field: str) -> "TriptychError":
        """Returns the same error, pointing at `field` of the outer request."""
        return type(self)(self.message, reason=self.reason, field=field, retry_after_s=self.retry_after_s)


class InvalidArgument(TriptychError):
    """Says that the request itself is wrong: the same call fails again, whatever the state of the system."""

    code = Code.INVALID_ARGUMENT
    default_reason = Reason.FIELD_INVALID


class NotFound(TriptychError):
    """Says that the named thing does not exist."""

    code = Code.NOT_FOUND
    default_reason = Reason.MODEL_NOT_FOUND


class AlreadyExists(TriptychError):
    """Says that the name is taken."""

    code = Code.ALREADY_EXISTS
    default_reason = Reason.EXPERIMENT_EXISTS


class FailedPrecondition(TriptychError):
    """Says that the call is fine, but not in the state that things are in."""

    code = Code.FAILED_PRECONDITION
    default_reason = Reason.EXPERIMENT_STATE


class PermissionDenied(TriptychError):
    """Says that this server lets nobody do that."""

    code = Code.PERMISSION_DENIED
    default_reason = Reason.EXPERIMENTS_OFF


class Unimplemented(TriptychError):
    """Says that this installation has no such thing."""

    code = Code.UNIMPLEMENTED
    default_reason = Reason.EXPERIMENTS_OFF


class ResourceExhausted(TriptychError):
    """Says that the work was shed before it began; `retry_after_s` tells when to come back."""

    code = Code.RESOURCE_EXHAUSTED
    default_reason = Reason.QUEUE_FULL


class Unavailable(TriptychError):
    """Says that something the call needs is away for now; retrying later is right."""

    code = Code.UNAVAILABLE
    default_reason = Reason.DEPENDENCY_UNAVAILABLE


class DeadlineExceeded(TriptychError):
    """Says that the caller's time ran out."""

    code = Code.DEADLINE_EXCEEDED
    default_reason = Reason.DEADLINE_EXCEEDED


class Cancelled(TriptychError):
    """Says that the caller gave up."""

    code = Code.CANCELLED
    default_reason = Reason.CALLER_CANCELLED


class Internal(TriptychError):
    """Says that Triptych broke a promise to itself; the details go to the log, never to the caller."""

    code = Code.INTERNAL
    default_reason = Reason.INTERNAL


def unknown_model(model: str, known: Iterable[str] = ()) -> NotFound:
    """Returns the refusal of a model that is in no repository; of a long name the beginning is repeated."""
    hint = f"; there is {', '.join(known)}" if known else ""
    return NotFound(f"There is no model {model[:64]!r}{hint}.", field="model")


def unknown_version(model: str, version: str, known: Iterable[str]) -> NotFound:
    """Returns the refusal of a version that was never published."""
    message = f"The model {model!r} has no version {version[:32]!r}; it has {', '.join(known)}."
    return NotFound(message, reason=Reason.MODEL_VERSION_NOT_FOUND, field="version")


CLASS_BY_CODE: dict[Code, type[TriptychError]] = {
    cls.code: cls
    for cls in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        PermissionDenied,
        Unimplemented,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        Internal,
    )
}

HTTP_STATUS: dict[Code, int] = {
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}
"""Maps every code to HTTP, as google.rpc.Code documents it. It is never inverted."""

HTTP_STATUS_BY_REASON: dict[Reason, int] = {
    Reason.REQUEST_TOO_LARGE: 413,
    Reason.IMAGE_TOO_LARGE: 413,
    Reason.MEDIA_TYPE_UNSUPPORTED: 415,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.METHOD_NOT_FOUND: 404,
}
"""Refines the table where HTTP has a more exact word than gRPC."""


def http_status(error: TriptychError) -> int:
    """Returns the HTTP status of an error."""
    return HTTP_STATUS_BY_REASON.get(error.reason, HTTP_STATUS[error.code])
