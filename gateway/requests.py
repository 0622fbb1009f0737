"""Turns a public request into a checked call, or into an error that names the field and the limit. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

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
    digests: Sequence[bytes] = ()
    """Of the images, by `result_cache.digest`, where somebody has needed them before."""
    replaceable: bool = False
    """Whether another version stands in for the one named, should that go away: nobody need wait for its return."""
    inputs: list[Any] | None = field(default=None, compare=False)
    """Where the images are left as the model's input, for whoever needs them as well, or already are."""
    remembered: list[bytes] | None = field(default=None, compare=False)
    """Where the digests are left of images that were answered before."""

    # Each costs half of `dataclasses.replace`, and every request needs one.
    def known(self, digests: Sequence[bytes], inputs: list[Any] | None = None) -> "Call":
        """Returns the same call with the digests of its images, and perhaps a place for their inputs."""
        replaceable, top_k, min_score = self.replaceable, self.top_k, self.min_score
        return Call(self.images, self.model, self.version, top_k, min_score, digests, replaceable, inputs)

    def to(self, version: str, *, replaceable: bool = False, remembered: list[bytes] | None = None) -> "Call":
        """Returns the same call to a version that the caller has not named."""
        top_k, min_score, digests = self.top_k, self.min_score, self.digests
        return Call(self.images, self.model, version, top_k, min_score, digests, replaceable, self.inputs, remembered)


def check_request(request: pb.ClassifyRequest, limits: Limits) -> Call:
    """Checks a request for one answer, and takes the images out of it: every access to one would copy its bytes.

    Raises:
        InvalidArgument: a field is missing, unknown or out of range.
    """
    _check_count(len(request.images), limits)
    images = list(request.images)
    request.ClearField("images")
    refuse_unknown_fields(request, "")
    return check_call([_take_content(image, f"images[{index}]") for index, image in enumerate(images)], request, limits)


def check_call(contents: Sequence[bytes], request: pb.ClassifyRequest, limits: Limits) -> Call:
    """Checks images, and a request without them.

    Raises:
        InvalidArgument: a field is missing or out of range.
    """
    _check_count(len(contents), limits)
    for index, content in enumerate(contents):
        _check_content(content, f"images[{index}].content", limits.max_image_bytes)
    _check_total(sum(map(len, contents)), limits)
    return Call(contents, request.model, request.version, _top_k(request, limits), _min_score(request))


def check_frame(request: pb.ClassifyStreamRequest, limits: Limits) -> Call:
    """Checks one frame of a video, and takes the image out of it.

    Raises:
        InvalidArgument: a field is missing, unknown or out of range.
    """
    image = request.image
    request.ClearField("image")
    refuse_unknown_fields(request, "")
    content = _take_content(image, "image")
    _check_content(content, "image.content", limits.max_image_bytes)
    return Call([content], request.model, request.version, _top_k(request, limits), _min_score(request))


def refuse_unknown_fields(message: Message, path: str) -> None:
    """Refuses a field that this server does not know: an option without effect would be a silent wrong answer.

    Costs two copies of the message, however many fields it has; `UnknownFieldSet` would make an object of each. Only
    to tell which field it is, messages within the message are looked at one by one.

    Raises:
        InvalidArgument: there is such a field.
    """
    data = message.SerializeToString()
    if not data:
        return
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    size = known.ByteSize()
    if len(data) == size:
        return
    for name, inner in _messages_in(message):
        refuse_unknown_fields(inner, f"{path}.{name}" if path else name)
    number = _field_number(data[size : size + 10])  # what is not known is written after what is
    where = f"{path}.{number}" if path else str(number)
    text = f"The field number {number} of {message.DESCRIPTOR.name} is unknown to this server."
    raise InvalidArgument(text, reason=Reason.FIELD_UNKNOWN, field=where)


def _messages_in(message: Message) -> Iterator[tuple[str, Message]]:
    for known, value in message.ListFields():
        if known.message_type is None or known.message_type.GetOptions().map_entry:
            continue
        if known.is_repeated:
            yield from ((f"{known.name}[{index}]", each) for index, each in enumerate(value))
        else:
            yield known.name, value


def _field_number(tag: bytes) -> int:
    """Returns the number in a field's tag: a varint of seven bits a byte, the lowest first, three of them the type."""
    value = 0
    for place, byte in enumerate(tag):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return value >> 3


def _take_content(image: classification_pb2.Image, path: str) -> bytes:
    content = image.content
    image.ClearField("content")
    refuse_unknown_fields(image, path)
    return content


def _check_count(images: int, limits: Limits) -> None:
    if not images:
        message = f"A request needs at least one image; it may have at most {limits.max_images}."
        raise InvalidArgument(message, reason=Reason.IMAGES_MISSING, field="images")
    if images > limits.max_images:
        message = (
            f"A request may have at most {limits.max_images} images; this one has {images}. Send several requests."
        )
        raise InvalidArgument(message, reason=Reason.IMAGES_TOO_MANY, field="images")


def _check_content(content: bytes, field: str, max_bytes: int) -> None:
    if not content:
        raise InvalidArgument("The image is empty.", reason=Reason.IMAGE_EMPTY, field=field)
    if len(content) > max_bytes:
        message = f"An image may have at most {readable(max_bytes)}; this one has {len(content)}. Scale it down first."
        raise InvalidArgument(message, reason=Reason.IMAGE_TOO_LARGE, field=field)


def _check_total(total: int, limits: Limits) -> None:
    if total > limits.max_request_bytes:
        most = readable(limits.max_request_bytes)
        message = (
            f"The images of a request may have at most {most} together; these have {total}. Send several requests."
        )
        raise InvalidArgument(message, reason=Reason.REQUEST_TOO_LARGE, field="images")


def readable(size: int) -> str:
    """Returns a size in bytes for people, and exactly: `16 MiB (16777216 bytes)`."""
    for unit, name in ((2**20, "MiB"), (2**10, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name} ({size} bytes)"
    return f"{size} bytes"


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
