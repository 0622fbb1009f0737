"""Errors: everything the server says about a failure reaches the caller."""

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from triptych import ClassifyError
from triptych.classification.v1.classification_service_pb2 import FrameError
from triptych.client.errors import PUSHBACK_KEY, STATUS_KEY, Trailers


def rich(code: int, message: str, *details: Message) -> Trailers:
    """Returns trailers with a google.rpc.Status."""
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return {STATUS_KEY: status_pb2.Status(code=code, message=message, details=packed).SerializeToString()}


def parse(code: grpc.StatusCode, trailers: Trailers, details: str = "") -> ClassifyError:
    """Reads a failed call."""
    return ClassifyError.from_call(code, details, trailers, "id-1", "host:1")


def test_all_details_are_read() -> None:
    """Reason, field and sentence come from the status details."""
    info = error_details_pb2.ErrorInfo(reason="IMAGE_CORRUPT", domain="triptych")
    violation = error_details_pb2.BadRequest.FieldViolation(field="images[0].content", description="Broken.")
    bad = error_details_pb2.BadRequest(field_violations=[violation])
    error = parse(grpc.StatusCode.INVALID_ARGUMENT, rich(3, "Broken.", info, bad))
    expected = ("INVALID_ARGUMENT", "IMAGE_CORRUPT", "images[0].content", "Broken.", None, "id-1")
    assert expected == (error.code, error.reason, error.field, error.message, error.retry_after_s, error.request_id)


def test_it_reads_like_a_sentence() -> None:
    """The text names code, reason, sentence and field."""
    error = ClassifyError("INVALID_ARGUMENT", "Broken.", reason="IMAGE_CORRUPT", field="images[0].content")
    assert "INVALID_ARGUMENT/IMAGE_CORRUPT: Broken. [images[0].content]" == str(error)


@pytest.mark.parametrize(
    ("trailers", "expected"),
    [
        (rich(8, "", error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=250_000_000))), 0.25),
        ({PUSHBACK_KEY: "250"}, 0.25),
        ({PUSHBACK_KEY: "-1"}, None),
        ({PUSHBACK_KEY: "soon"}, None),
        ({}, None),
    ],
)
def test_the_pause_is_read(trailers: Trailers, expected: float | None) -> None:
    """The pause comes from RetryInfo, or from gRPC's own pushback."""
    assert expected == parse(grpc.StatusCode.RESOURCE_EXHAUSTED, trailers).retry_after_s


def test_an_absent_server_is_named() -> None:
    """A connection that fails is told with the address that was tried."""
    assert "Nothing answers at host:1: refused" == parse(grpc.StatusCode.UNAVAILABLE, {}, "refused").message


def test_frames_have_the_same_errors() -> None:
    """The error of a frame reads like the error of a call."""
    error = ClassifyError.from_frame(FrameError(code=3, reason="IMAGE_CORRUPT", message="Broken.", field="image"))
    assert ("INVALID_ARGUMENT", "IMAGE_CORRUPT", "image") == (error.code, error.reason, error.field)
