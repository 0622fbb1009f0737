"""JSON bodies of every route but `classify`: small ones."""

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect, Request

from gateway.http.body import check_encoding
from gateway.http.message_json import marked
from gateway.http.options import refuse_query
from gateway.http.patience import GONE
from gateway.http.strict_json import as_object, load
from gateway.requests import readable
from servicekit.errors import Cancelled, InvalidArgument, Reason
from servicekit.settings import MIB

MAX_BODY_BYTES = MIB
SLOW_BYTES = 64 * 1024
"""A larger body takes long enough to read to hold up everybody else's requests."""


async def read_object(request: Request) -> dict[str, Any]:
    """Returns the object that is the body; keys that are given twice are marked.

    The media type must be told: a page of another origin cannot send this one without being asked whether it may.

    Raises:
        InvalidArgument: the body is too large, or no JSON object; or there is a query, which would have no effect.
    """
    check_encoding(request)
    media_type = request.headers.get("content-type", "").lower().partition(";")[0].strip()
    if media_type != "application/json":
        given = f"it is {media_type[:64]!r}" if media_type else "it is missing"
        text = f"Content-Type must be application/json; {given}."
        raise InvalidArgument(text, reason=Reason.MEDIA_TYPE_UNSUPPORTED, field="content-type")
    refuse_query(request.query_params)
    body = await _read(request)
    value = load(body, marked) if len(body) <= SLOW_BYTES else await asyncio.to_thread(load, body, marked)
    return as_object(value, "")


async def _read(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise _too_large()
    except ClientDisconnect:
        raise Cancelled(GONE) from None
    return bytes(body)


def _too_large() -> InvalidArgument:
    text = f"The body of this route may have at most {readable(MAX_BODY_BYTES)}."
    return InvalidArgument(text, reason=Reason.REQUEST_TOO_LARGE, field="body")
