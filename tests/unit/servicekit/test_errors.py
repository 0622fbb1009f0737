"""The one tree of errors, its tables, and its way over the wire."""

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from servicekit.errors import (
    CLASS_BY_CODE,
    HTTP_STATUS,
    Code,
    Internal,
    InvalidArgument,
    NotFound,
    Reason,
    ResourceExhausted,
    TriptychError,
    http_status,
)
from servicekit.status import from_item, from_rpc_error, to_item, to_status
from triptych.batch.v1 import batch_pb2

CLASSES = sorted(CLASS_BY_CODE.values(), key=lambda cls: cls.code)


def _over_the_wire(
    status: status_pb2.Status | None, code: grpc.StatusCode, details: str, key: str = "grpc-status-details-bin"
) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata()
    if status is not None:
        trailing.add(key, status.SerializeToString())
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=details)


def _received(error: TriptychError) -> TriptychError:
    wire = rpc_status.to_status(to_status(error))
    return from_rpc_error(_over_the_wire(to_status(error), wire.code, wire.details), "neighbour")


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_an_http_status(code: Code) -> None:
    """The table is total, and every failure is a failure over HTTP too."""
    assert 400 <= HTTP_STATUS[code] < 600


@pytest.mark.parametrize("code", list(Code))
def test_codes_have_the_numbers_of_grpc(code: Code) -> None:
    """Our names and numbers are gRPC's own."""
    assert grpc.StatusCode[code.name].value[0] == code


def test_the_tree_is_in_the_table() -> None:
    """Every class is found by its code."""
    assert set(CLASSES) == set(TriptychError.__subclasses__())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (413, InvalidArgument("x", reason=Reason.REQUEST_TOO_LARGE)),
        (413, InvalidArgument("x", reason=Reason.IMAGE_TOO_LARGE)),
        (415, InvalidArgument("x", reason=Reason.MEDIA_TYPE_UNSUPPORTED)),
        (405, InvalidArgument("x", reason=Reason.METHOD_NOT_ALLOWED)),
        (404, NotFound("x", reason=Reason.METHOD_NOT_FOUND)),
        (400, InvalidArgument("x", reason=Reason.FIELD_INVALID)),
        (429, ResourceExhausted("x")),
        (500, Internal("x")),
    ],
)
def test_a_reason_refines_the_http_status(status: int, error: TriptychError) -> None:
    """Where HTTP has a more exact word, the reason chooses it; else the code does."""
    assert status == http_status(error)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_the_wire(cls: type[TriptychError]) -> None:
    """Class, sentence, reason, field and pause come back from google.rpc.Status."""
    sent = cls("Ein Satz, ganz.", reason=Reason.FIELD_INVALID, field="images[3].content", retry_after_s=0.25)

    got = _received(sent)

    assert (cls, vars(sent)) == (type(got), vars(got))


@pytest.mark.parametrize("cls", CLASSES)
def test_an_items_error_survives_the_wire(cls: type[TriptychError]) -> None:
    """Class, sentence, reason, field and pause come back from an ItemError."""
    sent = cls("A sentence.", reason=Reason.FIELD_INVALID, field="content", retry_after_s=0.25)

    got = from_item(to_item(sent))

    assert (cls, vars(sent)) == (type(got), vars(got))


@pytest.mark.parametrize("convert", [_received, lambda error: from_item(to_item(error))])
def test_absent_parts_stay_absent(convert: object) -> None:
    """No field and no pause come back as none."""
    assert callable(convert)

    got = convert(InvalidArgument("A sentence."))

    assert ("", None) == (got.field, got.retry_after_s)


def test_at_points_elsewhere() -> None:
    """`at` keeps everything but the field."""
    moved = ResourceExhausted("Full.", field="content", retry_after_s=2).at("images[1].content")

    assert (ResourceExhausted, "Full.", Reason.QUEUE_FULL, "images[1].content", 2) == (
        type(moved),
        moved.message,
        moved.reason,
        moved.field,
        moved.retry_after_s,
    )


def test_a_status_names_its_domain() -> None:
    """The one ErrorInfo carries the domain `triptych` and the reason."""
    info = error_details_pb2.ErrorInfo()
    to_status(InvalidArgument("A sentence.")).details[0].Unpack(info)

    assert ("triptych", "FIELD_INVALID") == (info.domain, info.reason)


@pytest.mark.parametrize(
    ("code", "wanted", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE, Reason.DEPENDENCY_UNAVAILABLE),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED),
        (grpc.StatusCode.CANCELLED, Code.CANCELLED, Reason.CALLER_CANCELLED),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Code.RESOURCE_EXHAUSTED, Reason.REQUEST_TOO_LARGE),
        (grpc.StatusCode.INTERNAL, Code.INTERNAL, Reason.INTERNAL),
        (grpc.StatusCode.UNKNOWN, Code.INTERNAL, Reason.INTERNAL),
        (grpc.StatusCode.UNIMPLEMENTED, Code.INTERNAL, Reason.INTERNAL),
        (grpc.StatusCode.NOT_FOUND, Code.INTERNAL, Reason.INTERNAL),
        (grpc.StatusCode.INVALID_ARGUMENT, Code.INTERNAL, Reason.INTERNAL),
    ],
)
def test_a_foreign_status_is_classified(code: grpc.StatusCode, wanted: Code, reason: Reason) -> None:
    """What gRPC itself says becomes ours, by its code."""
    got = from_rpc_error(_over_the_wire(None, code, "ipv4:10.0.0.7:81: Connection refused"), "neighbour")

    assert (wanted, reason) == (got.code, got.reason)


def _foreign(domain: str, reason: str, code: int = 14) -> status_pb2.Status:
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(domain=domain, reason=reason))
    return status_pb2.Status(code=code, message="secret 10.0.0.7", details=[detail])


@pytest.mark.parametrize(
    "error",
    [
        _over_the_wire(None, grpc.StatusCode.UNAVAILABLE, "secret 10.0.0.7"),
        _over_the_wire(None, grpc.StatusCode.INTERNAL, "secret 10.0.0.7"),
        _over_the_wire(_foreign("elsewhere", "QUEUE_FULL"), grpc.StatusCode.UNAVAILABLE, "secret 10.0.0.7"),
        _over_the_wire(_foreign("triptych", "NEVER_HEARD_OF"), grpc.StatusCode.UNAVAILABLE, "secret 10.0.0.7"),
        _over_the_wire(_foreign("triptych", "QUEUE_FULL"), grpc.StatusCode.INTERNAL, "secret 10.0.0.7"),
        _over_the_wire(_foreign("triptych", "QUEUE_FULL"), grpc.StatusCode.UNAVAILABLE, "another sentence"),
    ],
    ids=["unavailable", "internal", "other domain", "other reason", "other code", "other sentence"],
)
def test_a_foreign_status_leaks_nothing(error: grpc.aio.AioRpcError) -> None:
    """Text that is not ours, or that contradicts itself, is replaced by a sentence of ours."""
    assert "secret" not in from_rpc_error(error, "neighbour").message


def test_broken_details_are_foreign() -> None:
    """Details that are no google.rpc.Status do not raise."""
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff"))
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), trailing, details="x")

    assert Code.UNAVAILABLE == from_rpc_error(error, "neighbour").code


@pytest.mark.parametrize("code", [0, 99, -1])
def test_an_items_impossible_code_is_internal(code: int) -> None:
    """A number that is no failure becomes INTERNAL instead of an exception."""
    assert Code.INTERNAL == from_item(batch_pb2.ItemError(code=code, reason="QUEUE_FULL", message="x")).code
