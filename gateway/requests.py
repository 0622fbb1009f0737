"""Turns a public request into a checked call, or into an error that names the field and the limit. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from servicekit.errors import InvalidArgument, Reason
from triptych.classification.v1 import classification_pb2
from triptych.classification.v1 import classification_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds what a request may ask for."""

    max_images: int
    max_image_bytes: int
    max_request_bytes: int
    max_top_k: int
    default_top_k: int


@dataclass(frozen=True, slots=True)
class Call:
    """Is a request whose every value is in range."""

    images: Sequence[bytes]
    model: str
    version: str
    top_k: int
    min_score: float


def check_request(request: pb.ClassifyRequest, limits: Limits) -> Call:
    """Checks a request for one answer.

    Raises:
        InvalidArgument: a field is missing, unknown or out of range.
    """
    refuse_unknown_fields(request, "")
    images = [image.content for image in request.images]
    _check_images(request.images, limits)
    return Call(images, request.model, request.version, _top_k(request, limits), _min_score(request))


def check_frame(request: pb.ClassifyStreamRequest, limits: Limits) -> Call:
    """Checks one frame of a video.

    Raises:
        InvalidArgument: a field is missing, unknown or out of range.
    """
    refuse_unknown_fields(request, "")
    refuse_unknown_fields(request.image, "image")
    check_content(request.image.content, "image.content", limits.max_image_bytes)
    return Call([request.image.content], request.model, request.version, _top_k(request, limits), _min_score(request))


def refuse_unknown_fields(message: Message, path: str) -> None:
    """Refuses a field that this server does not know: an option without effect would be a silent wrong answer.

    Raises:
        InvalidArgument: there is such a field.
    """
    unknown = UnknownFieldSet(message)
    if len(unknown):
        number = unknown[0].field_number
        where = f"{path}.{number}" if path else str(number)
        text = f"The field number {number} of {message.DESCRIPTOR.name} is unknown to this server."
        raise InvalidArgument(text, reason=Reason.FIELD_UNKNOWN, field=where)


def _check_images(images: Sequence[classification_pb2.Image], limits: Limits) -> None:
    if not images:
        message = f"A request needs at least one image; it may have {limits.max_images}."
        raise InvalidArgument(message, reason=Reason.IMAGES_MISSING, field="images")
    if len(images) > limits.max_images:
        message = f"A request may have {limits.max_images} images; this one has {len(images)}. Send several requests."
        raise InvalidArgument(message, reason=Reason.IMAGES_TOO_MANY, field="images")
    for index, image in enumerate(images):
        refuse_unknown_fields(image, f"images[{index}]")
        check_content(image.content, f"images[{index}].content", limits.max_image_bytes)
    total = sum(len(image.content) for image in images)
    if total > limits.max_request_bytes:
        message = f"The images of a request may have {limits.max_request_bytes} bytes together; these have {total}."
        raise InvalidArgument(message, reason=Reason.REQUEST_TOO_LARGE, field="images")


def check_content(content: bytes, field: str, max_bytes: int) -> None:
    """Checks an image's length.

    Raises:
        InvalidArgument: it is empty or too long.
    """
    if not content:
        raise InvalidArgument("The image is empty.", reason=Reason.IMAGE_EMPTY, field=field)
    if len(content) > max_bytes:
        message = f"An image may have {max_bytes} bytes; this one has {len(content)}. Scale it down first."
        raise InvalidArgument(message, reason=Reason.IMAGE_TOO_LARGE, field=field)


def _top_k(request: pb.ClassifyRequest | pb.ClassifyStreamRequest, limits: Limits) -> int:
    if not request.HasField("top_k"):
        return limits.default_top_k
    if not 1 <= request.top_k <= limits.max_top_k:
        raise InvalidArgument(f"top_k must be 1 to {limits.max_top_k}; it is {request.top_k}.", field="top_k")
    return request.top_k


def _min_score(request: pb.ClassifyRequest | pb.ClassifyStreamRequest) -> float:
    if math.isnan(request.min_score) or not 0 <= request.min_score <= 1:
        raise InvalidArgument(f"min_score must be 0 to 1; it is {request.min_score:g}.", field="min_score")
    return request.min_score
