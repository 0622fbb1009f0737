"""Checks of single fields, which name the field and its limit. Pure."""

import re

from google.protobuf.timestamp_pb2 import Timestamp

from servicekit.errors import InvalidArgument, Reason

MAX_INDEX = 1_000_000
MAX_LABEL = 256
LATEST_S = 253_402_300_799
"""The last second of the year 9999."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_text(value: str, field: str, limit: int, *, required: bool = False) -> None:
    """Refuses what is too long or cannot be printed."""
    if required and not value:
        raise missing(field)
    if len(value) > limit or not value.isprintable():
        raise InvalidArgument(f"{field} must be at most {limit} printable characters.", field=field)


def check_label(value: str, field: str) -> None:
    """Refuses a class name that is too long or has control characters."""
    if len(value) > MAX_LABEL or _CONTROL.search(value):
        message = f"{field} must be at most {MAX_LABEL} characters, without control characters."
        raise InvalidArgument(message, field=field)


def check_range(value: float, field: str, low: float, high: float) -> None:
    """Refuses what is below or above, or no number."""
    if not low <= value <= high:
        raise InvalidArgument(f"{field} must be {low:.15g} to {high:.15g}; it is {value:.15g}.", field=field)


def check_time(value: Timestamp, field: str, latest_s: int = LATEST_S) -> None:
    """Refuses what is no time between 1970 and the latest one."""
    if not (0 <= value.seconds <= latest_s and 0 <= value.nanos < 10**9):
        what = "in the years 1970 to 9999" if latest_s == LATEST_S else "between 1970 and one day from now"
        raise InvalidArgument(f"{field} must be a time {what}.", field=field)


def check_length(value: bytes, field: str, length: int, *, required: bool = False) -> None:
    """Refuses bytes that are neither absent nor of the right number."""
    if len(value) != length and (value or required):
        raise InvalidArgument(f"{field} must be {length} bytes; it has {len(value)}.", field=field)


def missing(field: str) -> InvalidArgument:
    """Returns the refusal of a request that lacks a field."""
    return InvalidArgument(f"{field} is required.", reason=Reason.FIELD_MISSING, field=field)


def microseconds(time: Timestamp) -> int:
    """Returns a time in microseconds since 1970."""
    return time.seconds * 1_000_000 + time.nanos // 1000
