"""The three shapes of a classify request over HTTP: JSON with base64, a raw image, a multipart form."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from servicekit.errors import InvalidArgument, Reason, TriptychError
from triptych.classification.v1 import classification_pb2
from triptych.classification.v1 import classification_service_pb2 as pb

BASE64 = "Standard base64 of an encoded image (JPEG, PNG, WebP, GIF or BMP)."


_INT32 = 2**31
_NUMBER = re.compile(r"[-+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][-+]?[0-9]+)?")
_JSON_TYPES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ImageBody(_Strict):
    """Is one image of several."""

    image_base64: str = Field(description=BASE64)


class ClassifyBody(_Strict):
    """Asks for the labels of one image (`image_base64`) or of several (`images`)."""

    image_base64: str | None = Field(default=None, description=BASE64)
    images: list[ImageBody] | None = Field(default=None, description="Several images, instead of `image_base64`.")
    model: str = Field(default="", description="Name of the model. Empty: the default model.")
    version: str = Field(default="", description="Version of the model. Empty: the newest that is ready.")
    top_k: int | None = Field(default=None, description="Most predictions per image, 1 to 1000. Absent: 5.")
    min_score: float | None = Field(default=None, description="Least score of a prediction, 0 to 1. Absent: 0.")


class Parsed(BaseModel):
    """Is a request in the contract's own form."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    request: pb.ClassifyRequest
    single: bool
    """Whether the answer is one object instead of a list."""
    fields: dict[str, str]
    """What the caller calls the contract's fields, where it differs."""

    def rename(self, error: TriptychError) -> TriptychError:
        """Points an error at the field by the name that this caller used."""
        return error.at(self.fields[error.field]) if error.field in self.fields else error


async def parse(request: Request) -> Parsed:
    """Reads a request of any shape.

    Raises:
        InvalidArgument: the body is not what its media type promises; the field path says where.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json":
        return from_json(await request.body())
    if media_type == "multipart/form-data":
        try:
            return await _from_form(request)
        except HTTPException as error:
            text = f"The body is not a multipart form: {error.detail}"
            raise InvalidArgument(text, reason=Reason.REQUEST_MALFORMED, field="body") from None
    if media_type.startswith("image/") or media_type == "application/octet-stream":
        return _assemble([await request.body()], ["body"], request.query_params, single=True)
    message = "Content-Type must be application/json, image/*, application/octet-stream or multipart/form-data"
    raise InvalidArgument(f"{message}; it is {media_type[:64] or 'missing'!r}.", reason=Reason.MEDIA_TYPE_UNSUPPORTED)


def from_json(body: bytes) -> Parsed:
    """Reads the JSON shape.

    Raises:
        InvalidArgument: as for `parse`.
    """
    try:
        parsed = ClassifyBody.model_validate_json(body)
    except ValidationError as error:
        raise _explain(error) from None
    if (parsed.image_base64 is None) == (parsed.images is None):
        text = "Give either image_base64 (one image) or images (several)."
        raise InvalidArgument(
            text, reason=Reason.FIELD_MISSING if parsed.images is None else Reason.FIELD_INVALID, field="image_base64"
        )
    options = parsed.model_dump(include={"model", "version", "top_k", "min_score"})
    if parsed.images is None:
        return _assemble([_decode(parsed.image_base64 or "", "image_base64")], ["image_base64"], options, single=True)
    names = [f"images[{index}].image_base64" for index in range(len(parsed.images))]
    contents = [_decode(image.image_base64, name) for image, name in zip(parsed.images, names, strict=True)]
    return _assemble(contents, names, options, single=False)


def _decode(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        message = "The text is not standard base64 (RFC 4648, with padding, without line breaks or a data: prefix)."
        raise InvalidArgument(message, reason=Reason.IMAGE_BASE64_INVALID, field=field) from None


async def _from_form(request: Request) -> Parsed:
    options: dict[str, Any] = dict(request.query_params)
    contents: list[bytes] = []
    async with request.form(max_files=1000, max_fields=16) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name not in ("image", "images"):
                    raise InvalidArgument(
                        "Files belong in the form field `image`, once per image.",
                        reason=Reason.FIELD_UNKNOWN,
                        field=name[:64],
                    )
                contents.append(await value.read())
            else:
                options[name] = value
    names = [f"image[{index}]" for index in range(len(contents))]
    return _assemble(contents, names, options, single=len(contents) == 1)


def _assemble(contents: list[bytes], names: list[str], options: Mapping[str, Any], *, single: bool) -> Parsed:
    unknown = options.keys() - {"model", "version", "top_k", "min_score"}
    if unknown:
        name = sorted(unknown)[0][:64]
        raise InvalidArgument(f"There is no option {name!r}.", reason=Reason.FIELD_UNKNOWN, field=name)
    message = pb.ClassifyRequest(
        images=[classification_pb2.Image(content=content) for content in contents],
        model=options.get("model", ""),
        version=options.get("version", ""),
        top_k=_number(options.get("top_k"), int, "top_k"),
        min_score=_number(options.get("min_score"), float, "min_score"),
    )
    fields = {f"images[{index}].content": name for index, name in enumerate(names)}
    return Parsed(request=message, single=single, fields=fields)


def _number(value: Any, kind: type[int] | type[float], field: str) -> Any:
    if value is None:
        return None
    try:
        # Python would also read `1_000` and ` 5 `, which no other client means by a number.
        number = kind(value) if not isinstance(value, str) or _NUMBER.fullmatch(value) else kind("")
    except (ValueError, OverflowError):
        word = "whole number" if kind is int else "number"
        raise InvalidArgument(f"{field} must be a {word}; it is {str(value)[:32]!r}.", field=field) from None
    # What does not even fit into the message is out of range at its border too, and is told with the limit there.
    return max(-_INT32, min(number, _INT32 - 1)) if kind is int else number


def _explain(error: ValidationError) -> InvalidArgument:
    """Turns the first thing that is wrong with a JSON body into a sentence."""
    first = error.errors(include_url=False)[0]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")[:128]
    kind = first["type"]
    if kind == "json_invalid":
        return InvalidArgument(
            f"The body is not JSON: {first['ctx']['error']}.", reason=Reason.REQUEST_MALFORMED, field="body"
        )
    if kind == "extra_forbidden":
        return InvalidArgument(f"There is no field {field!r}.", reason=Reason.FIELD_UNKNOWN, field=field)
    if kind == "missing":
        return InvalidArgument(f"The field {field} is required.", reason=Reason.FIELD_MISSING, field=field)
    wanted = first["msg"].removeprefix("Input should be ")
    given = _JSON_TYPES.get(type(first["input"]), "something else")
    return InvalidArgument(f"{field or 'The body'} must be {wanted}; it is {given}.", field=field or "body")
