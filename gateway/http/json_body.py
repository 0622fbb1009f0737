"""The JSON shape of a classify request.

Checked by hand: a validating library collects an error per item, which lets a small hostile body cost gigabytes, and
does not see a key that is given twice.
"""

import base64
import binascii
import json
from typing import Any

from gateway.http.options import OPTIONS, refuse_unknown, unique
from gateway.http.parsed import Parsed, assemble
from servicekit.errors import InvalidArgument, Reason

FIELDS = ("image_base64", "images", *OPTIONS)

MAX_VALUES = 10_000
"""Commas and opening brackets of a body. A request needs a few per image; more would only cost memory."""

_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def from_json(body: bytes) -> Parsed:
    """Reads the JSON shape. Pure, and slow for large bodies: tens of milliseconds.

    Raises:
        InvalidArgument: the body is no JSON or has not the fields that it must have; the field path says where.
    """
    fields = _object(_load(body), "")
    refuse_unknown(fields, FIELDS, kind="field")
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in ("model", "version"):
        _string(fields.get(name, ""), name)
    _check_numbers(fields)
    if ("image_base64" in fields) == ("images" in fields):
        raise _one_of_two(both="images" in fields)
    if "image_base64" in fields:
        return assemble([_decode(fields["image_base64"], "image_base64")], ["image_base64"], fields, single=True)
    names, contents = _images(fields["images"])
    return assemble(contents, names, fields, single=False)


def _load(body: bytes) -> Any:
    _bound_values(body)
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=unique, parse_int=_int, parse_constant=_constant)
        if "\\u" in text:
            json.dumps(
                value, ensure_ascii=False
            ).encode()  # half a surrogate pair is no text, and could not be answered
    except json.JSONDecodeError as error:
        where = f"{error.msg} at line {error.lineno} column {error.colno}"
    except UnicodeError:
        where = "it is not UTF-8"
    except ValueError as error:
        where = str(error)
    except RecursionError:
        where = "it is nested too deep"
    else:
        return value
    raise InvalidArgument(f"The body is not JSON: {where}.", reason=Reason.REQUEST_MALFORMED, field="body")


def _bound_values(body: bytes) -> None:
    left = MAX_VALUES
    for sign in (b",", b"[", b"{"):
        at = body.find(sign)
        while at >= 0:
            left -= 1
            if left < 0:
                text = f"The body has more than {MAX_VALUES} values; an image and its options are a handful."
                raise InvalidArgument(text, reason=Reason.REQUEST_TOO_LARGE, field="body")
            at = body.find(sign, at + 1)


def _int(digits: str) -> int:
    return int(digits[:20])  # more are out of every range as well, and slow to read


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _images(items: Any) -> tuple[list[str], list[bytes]]:
    if not isinstance(items, list):
        raise _wrong("images", "a list", items)
    names = [f"images[{index}].image_base64" for index in range(len(items))]
    texts = [_image(item, f"images[{index}]") for index, item in enumerate(items)]
    return names, [_decode(text, name) for text, name in zip(texts, names, strict=True)]


def _image(item: Any, path: str) -> Any:
    fields = _object(item, path)
    refuse_unknown(fields, ("image_base64",), kind="field", path=f"{path}.")
    if "image_base64" not in fields:
        field = f"{path}.image_base64"
        raise InvalidArgument(f"The field {field} is required.", reason=Reason.FIELD_MISSING, field=field)
    return fields["image_base64"]


def _decode(text: Any, field: str) -> bytes:
    try:
        return base64.b64decode(_string(text, field), validate=True)
    except (binascii.Error, ValueError):
        message = "The text is not standard base64 (RFC 4648, with padding, without line breaks or a data: prefix)."
        raise InvalidArgument(message, reason=Reason.IMAGE_BASE64_INVALID, field=field) from None


def _object(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(field, "an object", value)
    return value


def _string(value: Any, field: str) -> str:
    if isinstance(value, str):
        return value
    small = isinstance(value, int | float) and not isinstance(value, bool) and field in OPTIONS
    raise _wrong(field, "a string", value, hint=f': write "{value}"' if small else "")


def _check_numbers(fields: dict[str, Any]) -> None:
    top_k, min_score = fields.get("top_k", 1), fields.get("min_score", 0)
    if isinstance(top_k, float):
        raise InvalidArgument(f"top_k must be a whole number; it is {top_k:g}.", field="top_k")
    if not isinstance(top_k, int) or isinstance(top_k, bool):
        raise _wrong("top_k", "a whole number", top_k)
    if not isinstance(min_score, int | float) or isinstance(min_score, bool):
        raise _wrong("min_score", "a number", min_score)


def _wrong(field: str, wanted: str, given: Any, hint: str = "") -> InvalidArgument:
    text = f"{field or 'The body'} must be {wanted}; it is {_NAMES[type(given)]}{hint}."
    return InvalidArgument(text, field=field or "body")


def _one_of_two(*, both: bool) -> InvalidArgument:
    if both:
        return InvalidArgument("Give image_base64 (one image) or images (several), not both.", field="image_base64")
    text = "Give either image_base64 (one image) or images (several)."
    return InvalidArgument(text, reason=Reason.FIELD_MISSING, field="image_base64")
