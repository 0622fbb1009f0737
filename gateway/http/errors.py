"""Errors over HTTP: google.rpc.Status in the JSON shape of AIP-193, with snake_case names."""

import math
from collections.abc import MutableMapping
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from google.protobuf import json_format
from starlette.exceptions import HTTPException
from starlette.routing import Match

from servicekit import context
from servicekit.errors import Internal, InvalidArgument, NotFound, Reason, TriptychError, http_status
from servicekit.interceptors import UNEXPECTED
from servicekit.status import to_status

log = structlog.get_logger()

REASON = "reason"
"""Key under which a request's state tells the log why it failed."""


def error_body(error: TriptychError, request_id: str, code: int | None = None) -> dict[str, Any]:
    """Returns an error's JSON; `code` replaces its HTTP status."""
    details = json_format.MessageToDict(to_status(error), preserving_proto_field_name=True)["details"]
    body = {
        "code": code or http_status(error),
        "status": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "request_id": request_id,
        "details": details,
    }
    return {"error": body}


def error_response(scope: MutableMapping[str, Any], error: TriptychError) -> JSONResponse:
    """Builds the answer to a failed request, and leaves the reason for the log."""
    scope.setdefault("state", {})[REASON] = error.reason.value
    asking = context.current()
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    body = error_body(error, asking.request_id if asking else "")
    return JSONResponse(body, status_code=http_status(error), headers=headers)


def handle_errors(app: FastAPI) -> None:
    """Makes every exception of the app's routes an answer in this shape."""

    async def known(request: Request, error: Exception) -> Response:
        ours = error if isinstance(error, TriptychError) else _unexpected(error)
        return error_response(request.scope, ours)

    async def from_framework(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            return await known(request, error)
        response = error_response(request.scope, _translate(request, error))
        response.headers.update(error.headers or {})
        if error.status_code == 405:
            response.headers["Allow"] = ", ".join(_allowed(request))
        return response

    app.add_exception_handler(TriptychError, known)
    app.add_exception_handler(HTTPException, from_framework)
    app.add_exception_handler(Exception, known)


def _unexpected(error: Exception) -> TriptychError:
    log.error("unexpected error", exc_info=error)
    return Internal(UNEXPECTED)


def _allowed(request: Request) -> list[str]:
    """Returns the methods of all routes at this path; the router knows those of the first one only."""
    scope = {**request.scope, "method": ""}
    here = (each for each in request.app.router.routes if each.matches(scope)[0] is not Match.NONE)
    return sorted({method for route in here for method in getattr(route, "methods", None) or ()})


def _translate(request: Request, error: HTTPException) -> TriptychError:
    if error.status_code == 404:
        return NotFound(
            f"There is nothing at {request.url.path[:128]}; /docs lists what there is.", reason=Reason.METHOD_NOT_FOUND
        )
    if error.status_code == 405:
        return InvalidArgument(
            f"{request.method} is not allowed here; /docs lists what is.", reason=Reason.METHOD_NOT_ALLOWED
        )
    return InvalidArgument(str(error.detail), reason=Reason.REQUEST_MALFORMED)
