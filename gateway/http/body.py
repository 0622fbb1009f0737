"""The three shapes of a classify request over HTTP: JSON with base64, a raw image, a multipart form."""

import asyncio

from starlette.requests import Request

from gateway.http.form_body import from_form
from gateway.http.json_body import from_json
from gateway.http.options import OPTIONS, read_options, refuse_query, refuse_unknown, unique
from gateway.http.parsed import Parsed, assemble
from servicekit.errors import InvalidArgument, Reason
from servicekit.settings import MIB

MEDIA_TYPES = "application/json, image/*, application/octet-stream or multipart/form-data"


async def parse(request: Request) -> Parsed:
    """Reads a request of any shape.

    Raises:
        InvalidArgument: the body is not what its media type promises; the field path says where.
    """
    check_encoding(request)
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    media_type = media_type.strip()
    query = request.query_params.multi_items()
    if media_type == "application/json":
        _refuse_query(query)
        return await _from_json(await request.body())
    if media_type == "multipart/form-data":
        _check_charset(parameters)
        return await from_form(request, query)
    if media_type.startswith("image/") or media_type == "application/octet-stream":
        options = read_options(unique(query))
        return assemble([await request.body()], ["body"], options, single=True)
    given = f"Content-Type must be {MEDIA_TYPES}; it is {media_type[:64]!r}."
    text = given if media_type else f"Content-Type is missing; it must be {MEDIA_TYPES}."
    raise InvalidArgument(text, reason=Reason.MEDIA_TYPE_UNSUPPORTED, field="content-type")


async def _from_json(body: bytes) -> Parsed:
    # A large body takes long enough to decode to hold up everybody else's requests.
    return from_json(body) if len(body) <= MIB else await asyncio.to_thread(from_json, body)


def _refuse_query(query: list[tuple[str, str]]) -> None:
    refuse_unknown((name for name, _ in query), OPTIONS)
    refuse_query(name for name, _ in query)


def check_encoding(request: Request) -> None:
    """Refuses a body that is packed.

    Raises:
        InvalidArgument: it is.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        text = f"Content-Encoding {encoding[:32]!r} is not supported; send the body as it is, without the header."
        raise InvalidArgument(text, reason=Reason.MEDIA_TYPE_UNSUPPORTED, field="content-encoding")


def _check_charset(parameters: str) -> None:
    # Some of Python's codecs are slow enough to attack, and some make text that no answer could repeat.
    name, _, charset = next((each for each in parameters.split(";") if "charset" in each), "").partition("=")
    if name and charset.strip(' "') not in ("utf-8", "utf8", "us-ascii"):
        text = "A form's charset must be utf-8."
        raise InvalidArgument(text, reason=Reason.MEDIA_TYPE_UNSUPPORTED, field="content-type")
