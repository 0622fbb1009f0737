"""Who asks, as far as routing needs to know. Pure."""

from typing import Any

from gateway.routing import Asker
from servicekit.context import RequestContext
from servicekit.errors import InvalidArgument

ROUTE_KEY = "x-route-key"
TENANT = "x-tenant"
LONGEST = 256
"""Characters of either header."""


def asker_of(asking: RequestContext, serial: int) -> Asker:
    """Returns who asks: the key is the route key, or else the tenant, or else the request id.

    Args:
        asking: the request's context, as the edge made it.
        serial: of the request, in this process: frames of a video share a request id, and shadows tell them apart.

    Raises:
        InvalidArgument: a header is too long, or the tenant's has what cannot be printed.
    """
    headers = asking.headers
    tenant = _header(headers.get(TENANT), TENANT)
    if not tenant.isprintable():  # it is stored, for people to read
        raise InvalidArgument(f"{TENANT} may have printable characters only.", field=TENANT)
    key = _header(headers.get(ROUTE_KEY), ROUTE_KEY) or tenant or asking.request_id
    return Asker(key, f"{asking.request_id}/{serial}", tenant, headers)


def _header(value: Any, name: str) -> str:
    if not isinstance(value, str):
        return ""
    if len(value) > LONGEST:
        message = f"{name} may have at most {LONGEST} characters; this one has {len(value)}."
        raise InvalidArgument(message, field=name)
    return value
