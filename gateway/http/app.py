"""The HTTP routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import prometheus_client
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from gateway.classifier import Classifier, Results
from gateway.experiments_api import ExperimentsApi
from gateway.http import openapi
from gateway.http.answers import render, server_timing, to_json
from gateway.http.body import parse
from gateway.http.errors import handle_errors
from gateway.http.feedback import add_feedback_routes
from gateway.http.methods import add_experiment_routes
from gateway.http.parsed import Parsed
from gateway.http.patience import GONE, patience
from gateway.models import ModelDirectory
from gateway.requests import Call, check_call
from servicekit.errors import Cancelled, TriptychError
from servicekit.health import Readiness
from servicekit.settings import ProcessSettings


def create_app(
    settings: ProcessSettings,
    classifier: Classifier,
    directory: ModelDirectory,
    readiness: Readiness,
    experiments: ExperimentsApi,
) -> FastAPI:
    """Builds the application."""
    app = FastAPIOffline(**openapi.ABOUT)  # /docs must also work where no CDN is within reach
    handle_errors(app)

    @app.post(openapi.CLASSIFY_PATH, **openapi.CLASSIFY)
    async def classify(request: Request) -> Response:
        async with patience(request, settings):
            parsed, results = await _classify(request, classifier)
            body = await render(results, single=parsed.single)
        headers = {"Server-Timing": server_timing(results)}
        return Response(body, media_type="application/json", headers=headers)

    # The same function as the route above, which documents it, without FastAPI's search for dependencies at every
    # request: there are none.
    app.router.routes.insert(0, Route(openapi.CLASSIFY_PATH, classify, methods=["POST"]))

    @app.get("/api/v1/models", **openapi.MODELS)
    async def list_models() -> Response:
        return JSONResponse({"models": [to_json(model) for model in directory.describe()]})

    @app.get("/api/v1/models/{model}", **openapi.MODEL)
    async def get_model(model: str) -> Response:
        return JSONResponse(to_json(directory.find(model)))

    add_feedback_routes(app, experiments, settings)
    add_experiment_routes(app, experiments, settings)

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
    caller = _Caller(request)

    async def read() -> Call:
        nonlocal parsed
        try:
            parsed = await parse(request)
        except ClientDisconnect:
            raise Cancelled(GONE) from None
        caller.watch()  # to look earlier would take parts of the body away from whoever reads it
        return check_call(parsed.contents, parsed.request, classifier.limits)

    try:
        async with caller.waiting():
            results = await classifier.classify("http", read)
    except TriptychError as error:
        raise (parsed.rename(error) if parsed else error) from None
    assert parsed is not None  # noqa: S101 (read() has run, or classify() would have raised)
    return parsed, results


class _Caller:
    """Cancels the current task when the client hangs up: nobody waits for the answer any more."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._work = asyncio.current_task()
        self._watch: asyncio.Task[None] | None = None
        self._gone = False

    def watch(self) -> None:
        """Begins to look; the body must have been read."""
        self._watch = asyncio.create_task(self._cancel_when_gone())

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Looks while the context is open.

        Raises:
            Cancelled: the client hung up.
        """
        try:
            yield
        except asyncio.CancelledError:
            if self._gone and self._work is not None and not self._work.uncancel():
                raise Cancelled(GONE) from None
            raise
        finally:
            if self._watch is not None:
                self._watch.cancel()

    async def _cancel_when_gone(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._work is not None:
            self._work.cancel()
