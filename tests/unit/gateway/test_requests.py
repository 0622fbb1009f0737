"""Public requests, checked: every fault has a field, a reason and a sentence that tells the limit."""

import math

import pytest

from gateway.requests import Limits, check_frame, check_request, refuse_unknown_fields
from servicekit.errors import InvalidArgument, Reason
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1.classification_pb2 import Image

LIMITS = Limits(max_images=3, max_image_bytes=10, max_request_bytes=15, max_top_k=1000, default_top_k=5)
ONE = [Image(content=b"abc")]
UNKNOWN_FIELD = b"\x98\x06\x01"  # number 99, a varint


def _request(**values: object) -> pb.ClassifyRequest:
    return pb.ClassifyRequest(**{"images": ONE, **values})  # type: ignore[arg-type]


BAD = [
    (Reason.IMAGES_MISSING, "images", "may have 3", pb.ClassifyRequest()),
    (Reason.IMAGES_TOO_MANY, "images", "may have 3 images; this one has 4", _request(images=ONE * 4)),
    (Reason.IMAGE_EMPTY, "images[0].content", "empty", _request(images=[Image()])),
    (Reason.IMAGE_EMPTY, "images[2].content", "empty", _request(images=[*ONE, *ONE, Image()])),
    (
        Reason.IMAGE_TOO_LARGE,
        "images[1].content",
        "may have 10 bytes; this one has 11",
        _request(images=[*ONE, Image(content=bytes(11))]),
    ),
    (
        Reason.REQUEST_TOO_LARGE,
        "images",
        "may have 15 bytes together; these have 16",
        _request(images=[Image(content=bytes(8))] * 2),
    ),
    (Reason.FIELD_INVALID, "top_k", "must be 1 to 1000; it is 0", _request(top_k=0)),
    (Reason.FIELD_INVALID, "top_k", "must be 1 to 1000; it is -1", _request(top_k=-1)),
    (Reason.FIELD_INVALID, "top_k", "must be 1 to 1000; it is 1000000000", _request(top_k=10**9)),
    (Reason.FIELD_INVALID, "min_score", "must be 0 to 1; it is -0.5", _request(min_score=-0.5)),
    (Reason.FIELD_INVALID, "min_score", "must be 0 to 1; it is 1.5", _request(min_score=1.5)),
    (Reason.FIELD_INVALID, "min_score", "must be 0 to 1; it is nan", _request(min_score=math.nan)),
    (Reason.FIELD_INVALID, "min_score", "must be 0 to 1; it is inf", _request(min_score=math.inf)),
    (
        Reason.FIELD_UNKNOWN,
        "99",
        "number 99 of ClassifyRequest is unknown",
        pb.ClassifyRequest.FromString(_request().SerializeToString() + UNKNOWN_FIELD),
    ),
    (
        Reason.FIELD_UNKNOWN,
        "images[1].99",
        "number 99 of Image is unknown",
        _request(images=[*ONE, Image.FromString(b"\x0a\x01a" + UNKNOWN_FIELD)]),
    ),
]


@pytest.mark.parametrize(("reason", "field", "words", "request_"), BAD)
def test_a_bad_request_is_explained(reason: Reason, field: str, words: str, request_: pb.ClassifyRequest) -> None:
    """Each fault tells its reason, its field path and, where there is one, the limit."""
    with pytest.raises(InvalidArgument, match=words) as caught:
        check_request(request_, LIMITS)

    assert (reason, field) == (caught.value.reason, caught.value.field)


def test_defaults() -> None:
    """Absent options mean the newest version of the default model, five predictions, any score."""
    call = check_request(_request(), LIMITS)

    assert ("", "", 5, 0.0) == (call.model, call.version, call.top_k, call.min_score)


@pytest.mark.parametrize(("top_k", "min_score"), [(1, 0.0), (1000, 1.0)])
def test_limits_are_inclusive(top_k: int, min_score: float) -> None:
    """The least and the most are allowed."""
    call = check_request(_request(top_k=top_k, min_score=min_score), LIMITS)

    assert (top_k, min_score) == (call.top_k, call.min_score)


def test_sizes_are_inclusive() -> None:
    """An image and a request of exactly the limit pass, in order."""
    images = [Image(content=b"a" * 10), Image(content=b"b" * 5)]

    assert [b"a" * 10, b"b" * 5] == check_request(_request(images=images), LIMITS).images


BAD_FRAMES = [
    (Reason.IMAGE_EMPTY, "image.content", pb.ClassifyStreamRequest(frame=1)),
    (Reason.IMAGE_TOO_LARGE, "image.content", pb.ClassifyStreamRequest(image=Image(content=bytes(11)))),
    (Reason.FIELD_INVALID, "top_k", pb.ClassifyStreamRequest(image=ONE[0], top_k=0)),
    (Reason.FIELD_INVALID, "min_score", pb.ClassifyStreamRequest(image=ONE[0], min_score=2)),
    (Reason.FIELD_UNKNOWN, "99", pb.ClassifyStreamRequest.FromString(UNKNOWN_FIELD)),
    (
        Reason.FIELD_UNKNOWN,
        "image.99",
        pb.ClassifyStreamRequest(image=Image.FromString(b"\x0a\x01a" + UNKNOWN_FIELD)),
    ),
]


@pytest.mark.parametrize(("reason", "field", "frame"), BAD_FRAMES)
def test_a_bad_frame_is_explained(reason: Reason, field: str, frame: pb.ClassifyStreamRequest) -> None:
    """A frame's fields have paths of their own."""
    with pytest.raises(InvalidArgument) as caught:
        check_frame(frame, LIMITS)

    assert (reason, field) == (caught.value.reason, caught.value.field)


def test_a_frame_is_a_call_of_one() -> None:
    """A good frame is one image with its options."""
    call = check_frame(pb.ClassifyStreamRequest(image=ONE[0], model="m", version="2", top_k=7, min_score=0.5), LIMITS)

    assert ([b"abc"], "m", "2", 7, 0.5) == (call.images, call.model, call.version, call.top_k, call.min_score)


def test_a_known_message_passes() -> None:
    """A message without unknown fields is not refused."""
    refuse_unknown_fields(_request(), "")
