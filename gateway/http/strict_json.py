"""JSON as strict as a contract: what is told twice, or is no JSON in the letter of RFC 8259, is refused.

Checked by hand: a validating library collects an error per item, which lets a small hostile body cost gigabytes, and
does not see a key that is given twice.
"""

import json
from collections.abc import Callable
from typing import Any

from servicekit.errors import InvalidArgument, Reason

MAX_VALUES = 10_000
"""Commas and opening brackets of a body. No request needs as many; more would only cost memory."""

Pairs = list[tuple[str, Any]]

_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def load(body: bytes, pairs: Callable[[Pairs], Any]) -> Any:
    """Returns the value of a JSON text.

    Args:
        body: the text.
        pairs: makes a value of an object's keys and values, innermost objects first.

    Raises:
        InvalidArgument: it is none, or has too many values.
    """
    _bound_values(body)
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=pairs, parse_int=_int, parse_constant=_constant)
        if "\\u" in text:
            # Half a surrogate pair is no text, and could not be answered.
            json.dumps(value, ensure_ascii=False, default=str).encode()
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
                text = f"The body has more than {MAX_VALUES} values; no request needs as many."
                raise InvalidArgument(text, reason=Reason.REQUEST_TOO_LARGE, field="body")
            at = body.find(sign, at + 1)


def _int(digits: str) -> int:
    return int(digits[:20])  # more are out of every range as well, and slow to read


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def as_object(value: Any, field: str) -> dict[str, Any]:
    """Returns an object.

    Raises:
        InvalidArgument: it is none.
    """
    if not isinstance(value, dict):
        raise wrong(field, "an object", value)
    return value


def as_string(value: Any, field: str, *, hint: bool = False) -> str:
    """Returns a string.

    Args:
        value: any JSON value.
        field: its path.
        hint: whether to say how a number is written as a string.

    Raises:
        InvalidArgument: it is none.
    """
    if isinstance(value, str):
        return value
    number = hint and isinstance(value, int | float) and not isinstance(value, bool)
    raise wrong(field, "a string", value, hint=f': write "{value}"' if number else "")


def wrong(field: str, wanted: str, given: Any, hint: str = "") -> InvalidArgument:
    """Returns the refusal of a value of the wrong type."""
    text = f"{field or 'The body'} must be {wanted}; it is {_NAMES[type(given)]}{hint}."
    return InvalidArgument(text, field=field or "body")
