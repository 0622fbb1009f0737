"""What a trace says of an HTTP request, in OpenTelemetry's words: no query, no body, no path that a caller chose."""

from collections.abc import MutableMapping
from typing import Any

from gateway.http.errors import REASON
from gateway.http.openapi import CLASSIFY_PATH
from servicekit.errors import Code
from servicekit.spans import Span

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def span_name(scope: MutableMapping[str, Any]) -> str:
    """Names the span of a request whose route is not known yet."""
    method: str = scope["method"]
    return method if method in METHODS else "HTTP"


def end_span(span: Span, scope: MutableMapping[str, Any], status: int) -> None:
    """Ends the span of a request that was answered with `status`."""
    method = scope["method"]
    span.attributes |= {
        "http.request.method": method if method in METHODS else "_OTHER",
        "http.response.status_code": status,
        "url.scheme": scope["scheme"],
    }
    route = _route(scope)
    if route:
        span.name = f"{span.name} {route}"
        span.attributes["http.route"] = route
    if status >= 400:
        shed_or_broken = status >= 500 or status == 429
        reason = scope.get("state", {}).get(REASON, str(status))
        span.end_with(Code.INTERNAL if shed_or_broken else Code.INVALID_ARGUMENT, reason)
    span.end()


def _route(scope: MutableMapping[str, Any]) -> str:
    if scope["path"] == CLASSIFY_PATH:
        return CLASSIFY_PATH  # the one route that FastAPI does not handle, and does not tell
    return str(getattr(scope.get("route"), "path", ""))
