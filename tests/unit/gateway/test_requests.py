"""Public requests, checked: every fault has a field, a reason and a sentence that tells the limit."""

import math
import time

import pytest

from gateway.requests import Limits, check_frame, check_request, readable, refuse_unknown_fields
from servicekit.errors import InvalidArgument, Reason
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1.classification_pb2 import Image

LIMITS = Limits(max_images=3, max_image_bytes=10, max_request_bytes=15, max_top_k=1000, default_top_k=5)
ONE = [Image(content=b"abc")]
UNKNOWN_FIELD = b"\x98\x06\x01"  # number 99, a varint


def _request(**values: object) -> pb.ClassifyRequest:
    return pb.ClassifyRequest(**{"images": ONE, **values})  # type: ignore[arg-type]


BAD = [
    (Reason.IMAGES_MISSING, "images", "may have at most 3", pb.ClassifyRequest()),
    (Reason.IMAGES_TOO_MANY, "images", "may have at most 3 images; this one has 4", _request(images=ONE * 4)),
    (Reason.IMAGE_EMPTY, "images[0].content", "empty", _request(images=[Image()])),
    (Reason.IMAGE_EMPTY, "images[2].content", "empty", _request(images=[*ONE, *ONE, Image()])),
    (
        Reason.IMAGE_TOO_LARGE,
        "images[1].content",
        "may have at most 10 bytes; this one has 11",
        _request(images=[*ONE, Image(content=bytes(11))]),
    ),
    (
        Reason.REQUEST_TOO_LARGE,
        "images",
        "may have at most 15 bytes together; these have 16",
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


def test_an_unknown_field_is_named_where_it_stands() -> None:
    """However deep it is, and whatever known fields stand around it."""
    request = pb.ClassifyResponse()
    request.results.add(model="m")
    request.results.add(model="n").timing.MergeFromString(b"\x09" + bytes(8) + UNKNOWN_FIELD)
    with pytest.raises(InvalidArgument) as caught:
        refuse_unknown_fields(request, "")

    assert (Reason.FIELD_UNKNOWN, "results[1].timing.99") == (caught.value.reason, caught.value.field)


@pytest.mark.parametrize("number", [6, 99, 2**29 - 1])
def test_a_flood_of_unknown_fields_is_cheap(number: int) -> None:
    """However many unknown fields a message has, the first is named in a moment and no object is made of each."""
    tag = _varint(number << 3) + b"\x01"
    data = _request().SerializeToString() + tag * (10 * 2**20 // len(tag))
    message = pb.ClassifyRequest.FromString(data)
    start = time.perf_counter()
    with pytest.raises(InvalidArgument) as caught:
        check_request(message, LIMITS)

    assert str(number) == caught.value.field
    assert time.perf_counter() - start < 1


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def test_too_many_images_are_counted_before_they_are_read() -> None:
    """A request with too many images keeps them: none was taken out to be copied."""
    request = _request(images=ONE * 4)
    with pytest.raises(InvalidArgument):
        check_request(request, LIMITS)

    assert 4 == len(request.images)


def test_contents_are_taken_out_of_the_message() -> None:
    """After the check only the call holds the images' bytes."""
    request = _request()
    check_request(request, LIMITS)

    assert 0 == request.ByteSize()


@pytest.mark.parametrize(
    ("text", "size"),
    [("16 MiB (16777216 bytes)", 2**24), ("2 KiB (2048 bytes)", 2048), ("10 bytes", 10), ("1048577 bytes", 2**20 + 1)],
)
def test_sizes_are_readable_and_exact(text: str, size: int) -> None:
    """A limit is told in the unit that people use, and in bytes."""
    assert text == readable(size)
