"""The JSON shape of a classify request."""

import base64
import binascii
from typing import Any

from gateway.http.options import OPTIONS, refuse_unknown, unique
from gateway.http.parsed import Parsed, assemble
from gateway.http.strict_json import as_object, as_string, load, wrong
from servicekit.errors import InvalidArgument, Reason

FIELDS = ("image_base64", "images", *OPTIONS)


def from_json(body: bytes) -> Parsed:
    """Reads the JSON shape. Pure, and slow for large bodies: tens of milliseconds.

    Raises:
        InvalidArgument: the body is no JSON or has not the fields that it must have; the field path says where.
    """
    fields = as_object(load(body, unique), "")
    refuse_unknown(fields, FIELDS, kind="field")
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in ("model", "version"):
        as_string(fields.get(name, ""), name, hint=True)
    _check_numbers(fields)
    if ("image_base64" in fields) == ("images" in fields):
        raise _one_of_two(both="images" in fields)
    if "image_base64" in fields:
        return assemble([_decode(fields["image_base64"], "image_base64")], ["image_base64"], fields, single=True)
    names, contents = _images(fields["images"])
    return assemble(contents, names, fields, single=False)


def _images(items: Any) -> tuple[list[str], list[bytes]]:
    if not isinstance(items, list):
        raise wrong("images", "a list", items)
    names = [f"images[{index}].image_base64" for index in range(len(items))]
    texts = [_image(item, f"images[{index}]") for index, item in enumerate(items)]
    return names, [_decode(text, name) for text, name in zip(texts, names, strict=True)]


def _image(item: Any, path: str) -> Any:
    fields = as_object(item, path)
    refuse_unknown(fields, ("image_base64",), kind="field", path=f"{path}.")
    if "image_base64" not in fields:
        field = f"{path}.image_base64"
        raise InvalidArgument(f"The field {field} is required.", reason=Reason.FIELD_MISSING, field=field)
    return fields["image_base64"]


def _decode(text: Any, field: str) -> bytes:
    try:
        return base64.b64decode(as_string(text, field), validate=True)
    except (binascii.Error, ValueError):
        message = "The text is not standard base64 (RFC 4648, with padding, without line breaks or a data: prefix)."
        raise InvalidArgument(message, reason=Reason.IMAGE_BASE64_INVALID, field=field) from None


def _check_numbers(fields: dict[str, Any]) -> None:
    top_k, min_score = fields.get("top_k", 1), fields.get("min_score", 0)
    if isinstance(top_k, float):
        raise InvalidArgument(f"top_k must be a whole number; it is {top_k:g}.", field="top_k")
    if not isinstance(top_k, int) or isinstance(top_k, bool):
        raise wrong("top_k", "a whole number", top_k)
    if not isinstance(min_score, int | float) or isinstance(min_score, bool):
        raise wrong("min_score", "a number", min_score)


def _one_of_two(*, both: bool) -> InvalidArgument:
    if both:
        return InvalidArgument("Give image_base64 (one image) or images (several), not both.", field="image_base64")
    text = "Give either image_base64 (one image) or images (several)."
    return InvalidArgument(text, reason=Reason.FIELD_MISSING, field="image_base64")
