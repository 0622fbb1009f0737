"""Reads what requests about experiments carry, and refuses what breaks a limit. Pure."""

import base64
import binascii
import re
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from servicekit.errors import InvalidArgument, Reason
from services.experiments.definitions import check_name, check_text
from services.experiments.transitions import RULE

NOBODY = "somebody"
"""Acts where no name is given."""
_DECISION = re.compile(r"([1-9][0-9]{0,17})")
_EXPERIMENT = re.compile(r"([0-9]{1,18})/([a-z][a-z0-9_-]{0,62})")
_LAST_SECOND = 253_402_300_799
"""Of the year 9999, where timestamps end."""


def name_of(name: str, field: str = "name") -> str:
    """Returns the name of an experiment, arm or shadow."""
    if not name:
        raise InvalidArgument(f"{field} is missing.", reason=Reason.FIELD_MISSING, field=field)
    check_name(name, field)
    return name


def actor_of(actor: str) -> str:
    """Returns who acts."""
    check_text(actor, "actor", 100)
    if actor.strip().lower() == RULE:
        raise InvalidArgument(f"actor must not be {RULE!r}, which acts where nobody was asked.", field="actor")
    return actor or NOBODY


def reason_of(reason: str) -> str:
    """Returns why."""
    check_text(reason, "reason", 500)
    return reason


class Wish(Protocol):
    """Is what every request to change an experiment has."""

    name: str
    actor: str
    reason: str


def deed_of(request: Wish) -> tuple[str, str, str]:
    """Returns which experiment a request wants changed, who wants it, and why."""
    return name_of(request.name), actor_of(request.actor), reason_of(request.reason)


def size_of(page_size: int) -> int:
    """Returns how many entries a page has."""
    if not 0 <= page_size <= 1000:
        raise InvalidArgument(f"page_size must be 1 to 1000, or 0 for 100; it is {page_size}.", field="page_size")
    return page_size or 100


def after_us(moment: Timestamp) -> int:
    """Returns a time in microseconds."""
    if not (0 <= moment.seconds <= _LAST_SECOND and 0 <= moment.nanos < 10**9):
        raise InvalidArgument("after must be a time from 1970 to 9999.", field="after")
    return moment.ToMicroseconds()


def share_of(share: float) -> float:
    """Returns a part of all keys."""
    if not 0 <= share <= 1:
        raise InvalidArgument(f"share must be 0 to 1; it is {share:g}.", field="share")
    return share


def experiment_token(created_us: int, name: str) -> str:
    """Returns the token of the page behind an experiment."""
    return _pack(f"{created_us}/{name}")


def read_experiment_token(token: str) -> tuple[int, str] | None:
    """Returns behind which experiment a page begins; None: the first page."""
    if not token:
        return None
    created_us, name = _unpack(token, _EXPERIMENT)
    return int(created_us), name


def decision_token(number: int) -> str:
    """Returns the token of the page behind an entry of the log."""
    return _pack(str(number))


def read_decision_token(token: str) -> int | None:
    """Returns behind which entry a page begins; None: the first page."""
    return int(_unpack(token, _DECISION)[0]) if token else None


def _pack(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpack(token: str, spelled: re.Pattern[str]) -> tuple[str, ...]:
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars="-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    match = spelled.fullmatch(text)
    if match is None:
        message = "page_token must be `next_page_token` of the page before; it is something else."
        raise InvalidArgument(message, field="page_token")
    return match.groups()
