"""The HTTP routes."""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any, TypeVar

import prometheus_client
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.requests import ClientDisconnect

from gateway.classifier import Classifier, Results
from gateway.http import openapi
from gateway.http.answers import render, server_timing, to_json
from gateway.http.body import parse
from gateway.http.errors import handle_errors
from gateway.http.parsed import Parsed
from gateway.models import ModelDirectory
from gateway.requests import Call, check_request
from servicekit import context
from servicekit.errors import Cancelled, DeadlineExceeded, InvalidArgument, TriptychError
from servicekit.health import Readiness
from servicekit.settings import ProcessSettings

T = TypeVar("T")

GONE = "The client closed the connection."


def create_app(
    settings: ProcessSettings, classifier: Classifier, directory: ModelDirectory, readiness: Readiness
) -> FastAPI:
    """Builds the application."""
    app = FastAPIOffline(**openapi.ABOUT)  # /docs must also work where no CDN is within reach
    handle_errors(app)

    @app.post("/api/v1/classify", **openapi.CLASSIFY)
    async def classify(request: Request) -> Response:
        timeout_s = _timeout_s(request.headers.get("x-timeout-ms"), settings)
        context.set_deadline(timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                parsed, results = await _classify(request, classifier)
                body = await render(results, single=parsed.single)
        except TimeoutError:
            raise DeadlineExceeded(f"The call did not finish within {timeout_s:.3g} s.") from None
        headers = {"Server-Timing": server_timing(results)}
        return Response(body, media_type="application/json", headers=headers)

    @app.get("/api/v1/models", **openapi.MODELS)
    async def list_models() -> Response:
        return JSONResponse({"models": [to_json(model) for model in directory.describe()]})

    @app.get("/api/v1/models/{model}", **openapi.MODEL)
    async def get_model(model: str) -> Response:
        return JSONResponse(to_json(directory.find(model)))

    @app.get("/healthz", **openapi.HEALTHZ)
    async def healthz() -> Response:
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", **openapi.READYZ)
    async def readyz() -> Response:
        conditions = {
            name: {"ready": not problem, "detail": problem or None} for name, problem in readiness.conditions().items()
        }
        models = [to_json(model) for model in directory.describe()]
        body = {"ready": readiness.ready, "dependencies": conditions, "models": models}
        return JSONResponse(body, status_code=200 if readiness.ready else 503)

    @app.get("/metrics", **openapi.METRICS)
    async def metrics() -> Response:
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("/docs")

    return app


async def _classify(request: Request, classifier: Classifier) -> tuple[Parsed, Results]:
    parsed: Parsed | None = None
    read_whole = asyncio.Event()

    async def read() -> Call:
        nonlocal parsed
        try:
            parsed = await parse(request)
        except ClientDisconnect:
            raise Cancelled(GONE) from None
        read_whole.set()
        return check_request(parsed.request, classifier.limits)

    try:
        results = await _until_gone(request, classifier.classify("http", read), read_whole)
    except TriptychError as error:
        raise (parsed.rename(error) if parsed else error) from None
    assert parsed is not None  # noqa: S101 (read() has run, or classify() would have raised)
    return parsed, results


async def _until_gone(request: Request, work: Awaitable[T], read_whole: asyncio.Event) -> T:
    """Awaits `work`, and cancels it when the client hangs up: nobody waits for the answer any more."""
    task = asyncio.ensure_future(work)
    watch = asyncio.create_task(_gone(request, task, read_whole))
    try:
        return await task
    except asyncio.CancelledError:
        if watch.done():
            raise Cancelled(GONE) from None
        raise
    finally:
        task.cancel()
        watch.cancel()


async def _gone(request: Request, task: "asyncio.Future[Any]", read_whole: asyncio.Event) -> None:
    """Cancels `task` once the client has hung up."""
    await read_whole.wait()  # to look earlier would take parts of the body away from whoever reads it
    while not await request.is_disconnected():  # noqa: ASYNC110 (ASGI has no event for it)
        await asyncio.sleep(0.1)
    task.cancel()


def _timeout_s(header: str | None, settings: ProcessSettings) -> float:
    if header is None:
        return settings.default_timeout_s
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", header):
        message = f"x-timeout-ms must be a whole number of milliseconds, at least 1; it is {header[:32]!r}."
        raise InvalidArgument(message, field="x-timeout-ms")
    return min(int(header) / 1e3, settings.max_timeout_s)
