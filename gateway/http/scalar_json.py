"""JSON into the scalars of the contract's messages, and into times."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.http.options import read_number
from gateway.http.strict_json import as_string, wrong
from servicekit.errors import InvalidArgument

_CLOCK = "[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?"
_TIME = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T{_CLOCK}(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])")
"""RFC 3339, in capitals."""
_BITS = {FieldDescriptor.TYPE_INT32: 31, FieldDescriptor.TYPE_INT64: 63}


def read_scalar(field: FieldDescriptor, value: Any, path: str) -> Any:
    """Returns the value of a field that is no message.

    Raises:
        InvalidArgument: it is of the wrong type.
    """
    if field.enum_type is not None:
        return _choice(field.enum_type, value, path)
    return _READERS[field.type](field, value, path)


def _text(_field: FieldDescriptor, value: Any, path: str) -> str:
    return as_string(value, path, hint=True)


def _boolean(_field: FieldDescriptor, value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise wrong(path, "a boolean", value)
    return value


def _whole(field: FieldDescriptor, value: Any, path: str) -> int:
    """Returns a whole number; one of 64 bits may be a string of digits, as protobuf's JSON writes it."""
    limit = 1 << _BITS[field.type]
    if field.type == FieldDescriptor.TYPE_INT64 and isinstance(value, str):
        value = read_number(value[:32], int, path)
    if isinstance(value, float):
        raise InvalidArgument(f"{path} must be a whole number; it is {value:g}.", field=path)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(path, "a whole number", value)
    return max(-limit, min(value, limit - 1))  # the border is out of every field's range as well


def _decimal(_field: FieldDescriptor, value: Any, path: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong(path, "a number", value)
    return float(value)


_READERS: dict[int, Callable[[FieldDescriptor, Any, str], Any]] = {
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_INT32: _whole,
    FieldDescriptor.TYPE_INT64: _whole,
    FieldDescriptor.TYPE_DOUBLE: _decimal,
}


def _choice(kind: Any, value: Any, path: str) -> int:
    """Returns a value of an enumeration by its name in the contract, or by the last part of that in small letters."""
    given = as_string(value, path)
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.name).upper() + "_"
    words = {each.name.removeprefix(prefix).lower(): each for each in kind.values if each.number}
    for word, each in words.items():
        if given in (word, each.name):
            return int(each.number)
    raise InvalidArgument(f"{path} must be one of {', '.join(words)}; it is {given[:32]!r}.", field=path)


def read_time(value: Any, path: str) -> Timestamp:
    """Returns a moment that is written as RFC 3339 has it.

    Raises:
        InvalidArgument: it is not, or there is no such moment.
    """
    text = as_string(value, path).upper()
    moment = Timestamp()
    with suppress(ValueError):  # there is no 30th of February
        if _TIME.fullmatch(text):
            moment.FromJsonString(text)
            return moment
    message = f"{path} must be a time such as '2026-11-28T12:00:00Z' (RFC 3339); it is {text[:40]!r}."
    raise InvalidArgument(message, field=path)


def from_text(field: FieldDescriptor, text: str, path: str) -> Any:
    """Returns the JSON value that is meant by a text in a query.

    Raises:
        InvalidArgument: it should be a number or a boolean, and is none.
    """
    if field.type in _BITS:
        return read_number(text, int, path)
    if field.type != FieldDescriptor.TYPE_BOOL:
        return text
    if text not in ("true", "false"):
        raise InvalidArgument(f"{path} must be true or false; it is {text[:32]!r}.", field=path)
    return text == "true"
