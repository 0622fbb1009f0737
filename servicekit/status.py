"""Errors on the wire: the tree of `servicekit.errors` to and from google.rpc.Status and the per-item form."""

from typing import NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from servicekit import context as request_context
from servicekit.errors import CLASS_BY_CODE, Code, Internal, Reason, ResourceExhausted, TriptychError, Unavailable
from triptych.batch.v1 import batch_pb2

DOMAIN = "triptych"
PUSHBACK = "grpc-retry-pushback-ms"

_REASONS = {reason.value: reason for reason in Reason}


def to_status(error: TriptychError) -> status_pb2.Status:
    """Builds the status that callers see: one ErrorInfo, BadRequest for a field, RetryInfo when a retry helps."""
    status = status_pb2.Status(code=error.code, message=error.message)
    _pack(status, error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN))
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        _pack(status, error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def _pack(
    status: status_pb2.Status,
    detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)


async def abort(context: grpc.aio.ServicerContext[object, object], error: TriptychError) -> NoReturn:
    """Ends an RPC with `error` and the request id; a shed call also tells gRPC's own retry when to come back."""
    status = rpc_status.to_status(to_status(error))
    trailing: list[tuple[str, str | bytes]] = list(
        status.trailing_metadata
    )  # abort_with_status would drop what set_trailing_metadata was told
    if error.retry_after_s is not None:
        trailing.append((PUSHBACK, str(round(error.retry_after_s * 1e3))))
    asked = request_context.current()
    if asked is not None:
        trailing.append((request_context.REQUEST_ID, asked.request_id))
    await context.abort(status.code, status.details, tuple(trailing))
    raise AssertionError("abort raises")  # pragma: no cover


def from_rpc_error(error: grpc.aio.AioRpcError, neighbour: str) -> TriptychError:
    """Rebuilds the error that a neighbour answered with; what is not ours is told without internals."""
    own = _from_status(error)
    if own is not None:
        return own
    code = error.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        return Unavailable(f"The {neighbour} service cannot be reached.", retry_after_s=1.0)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return ResourceExhausted(
            f"A message for the {neighbour} service is too large.", reason=Reason.REQUEST_TOO_LARGE
        )
    cls = (
        CLASS_BY_CODE.get(Code(code.value[0]), Internal)
        if code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
        else Internal
    )
    sentence = "took longer than the caller waits" if cls.code is Code.DEADLINE_EXCEEDED else "failed"
    return cls(f"The {neighbour} service {sentence}.")


def _from_status(error: grpc.aio.AioRpcError) -> TriptychError | None:
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):
        return None  # a status that contradicts itself, or is none, was not written by us
    if status is None:
        return None
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
        detail.Unpack(retry)
    if info.domain != DOMAIN or info.reason not in _REASONS:
        return None
    return _build(
        status.code,
        info.reason,
        status.message,
        bad.field_violations[0].field if bad.field_violations else "",
        retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None,
    )


def _build(code: int, reason: str, message: str, field: str, retry_after_s: float | None) -> TriptychError:
    cls = CLASS_BY_CODE[Code(code)] if code in CLASS_BY_CODE else Internal
    return cls(message, reason=_REASONS.get(reason), field=field, retry_after_s=retry_after_s)


def to_item(error: TriptychError) -> batch_pb2.ItemError:
    """Builds the form in which an error of one item travels between the services."""
    return batch_pb2.ItemError(
        code=error.code,
        reason=error.reason,
        message=error.message,
        field=error.field,
        retry_after_ms=(error.retry_after_s or 0) * 1e3,
    )


def from_item(item: batch_pb2.ItemError) -> TriptychError:
    """Rebuilds the error of one item."""
    return _build(item.code, item.reason, item.message, item.field, item.retry_after_ms / 1e3 or None)
