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


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("...last error: UNKNOWN: ipv6:%5B::1%5D:1: Failed to connect to remote host: Connection refused", "refused"),
        ("errors resolving no.such:1: [field:hostname lookup error: Domain name not found]", "cannot be found"),
        ("Failed parsing HTTP/2 (...) (Trying to connect an http1.x server (HTTP status 400))", "speaks HTTP"),
        ("ipv4:10.0.0.1:1: connection attempt timed out before receiving SETTINGS frame", "took too long"),
        ("Socket closed", "The connection to host:1 broke."),
    ],
)
def test_failures_of_the_connection_are_told_in_words(details: str, expected: str) -> None:
    """A connection that fails is told with the address that was tried, and without gRPC's own text."""
    message = parse(grpc.StatusCode.UNAVAILABLE, {}, details).message
    assert expected in message
    assert "host:1" in message
    assert details not in message


def test_messages_that_are_too_large_are_told_in_words() -> None:
    """What gRPC itself refuses to send is told with the limit."""
    error = parse(grpc.StatusCode.RESOURCE_EXHAUSTED, {}, "CLIENT: Sent message larger than max (7 vs. 6)")
    assert "The images are too large for one message, which holds 64 MiB." == error.message


def test_frames_have_the_same_errors() -> None:
    """The error of a frame reads like the error of a call."""
    error = ClassifyError.from_frame(FrameError(code=3, reason="IMAGE_CORRUPT", message="Broken.", field="image"))
    assert ("INVALID_ARGUMENT", "IMAGE_CORRUPT", "image") == (error.code, error.reason, error.field)
