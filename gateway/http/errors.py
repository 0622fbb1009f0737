"""Errors over HTTP: google.rpc.Status in the JSON shape of AIP-193, with snake_case names."""

import math

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from google.protobuf import json_format
from starlette.exceptions import HTTPException

from servicekit.errors import Internal, InvalidArgument, NotFound, Reason, TriptychError, http_status
from servicekit.interceptors import UNEXPECTED
from servicekit.status import to_status

log = structlog.get_logger()


def error_response(error: TriptychError) -> JSONResponse:
    """Builds the answer to a failed request."""
    status = json_format.MessageToDict(to_status(error), preserving_proto_field_name=True)
    body = {
        "code": http_status(error),
        "status": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "details": status["details"],
    }
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    return JSONResponse({"error": body}, status_code=http_status(error), headers=headers)


def handle_errors(app: FastAPI) -> None:
    """Makes every exception of the app's routes an answer in this shape."""

    async def known(_request: Request, error: Exception) -> Response:
        return error_response(error) if isinstance(error, TriptychError) else error_response(_unexpected(error))

    async def from_framework(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            return await known(request, error)
        response = error_response(_translate(request, error))
        response.headers.update(error.headers or {})  # `Allow`, with 405
        return response

    app.add_exception_handler(TriptychError, known)
    app.add_exception_handler(HTTPException, from_framework)
    app.add_exception_handler(Exception, known)


def _unexpected(error: Exception) -> TriptychError:
    log.error("unexpected error", exc_info=error)
    return Internal(UNEXPECTED)


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
