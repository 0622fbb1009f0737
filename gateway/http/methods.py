"""The routes of experiments: each is a method of the contract, its request in protobuf's JSON, and so its answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from google.protobuf.message import Message

from gateway.experiments_api import ExperimentsApi
from gateway.http import experiment_docs as docs
from gateway.http.answers import to_json
from gateway.http.message_json import fill, from_texts
from gateway.http.options import unique
from gateway.http.patience import patience
from gateway.http.small_json import read_object
from servicekit.settings import ProcessSettings
from triptych.experiments.v1 import experiment_service_pb2 as pb

EXPERIMENTS = "/api/v1/experiments"
ONE = f"{EXPERIMENTS}/{{name}}"
SLOW_BYTES = 64 * 1024
"""A larger answer takes long enough to render to hold up everybody else's requests."""


@dataclass(frozen=True, slots=True)
class Method:
    """Is a method over HTTP; what the path names is no field of the body or query, all else is."""

    verb: Literal["GET", "POST", "DELETE"]
    path: str
    request: type[Message]
    about: dict[str, Any]
    """What /docs says."""


METHODS = (
    Method("GET", EXPERIMENTS, pb.ListExperimentsRequest, docs.LIST),
    Method("POST", EXPERIMENTS, pb.CreateExperimentRequest, docs.CREATE),
    Method("GET", ONE, pb.GetExperimentRequest, docs.GET),
    Method("DELETE", ONE, pb.DeleteExperimentRequest, docs.DELETE),
    Method("POST", f"{ONE}/start", pb.StartExperimentRequest, docs.START),
    Method("POST", f"{ONE}/weights", pb.SetWeightsRequest, docs.WEIGHTS),
    Method("POST", f"{ONE}/stop", pb.StopExperimentRequest, docs.STOP),
    Method("POST", f"{ONE}/promote", pb.PromoteArmRequest, docs.PROMOTE),
    Method("GET", f"{ONE}/verdicts", pb.GetVerdictsRequest, docs.VERDICTS),
    Method("GET", f"{ONE}/verdicts/history", pb.ListVerdictsRequest, docs.HISTORY),
    Method("GET", f"{ONE}/decisions", pb.ListDecisionsRequest, docs.DECISIONS_OF_ONE),
    Method("GET", "/api/v1/decisions", pb.ListDecisionsRequest, docs.DECISIONS),
    Method("POST", "/api/v1/models/{model}/pin", pb.PinVersionRequest, docs.PIN),
    Method("POST", "/api/v1/holdout", pb.SetHoldoutRequest, docs.HOLDOUT),
)


def add_experiment_routes(app: FastAPI, api: ExperimentsApi, settings: ProcessSettings) -> None:
    """Adds the routes to an application."""
    for method in METHODS:
        endpoint = _endpoint(method, api, settings)
        app.add_api_route(method.path, endpoint, methods=[method.verb], **method.about)


def _endpoint(method: Method, api: ExperimentsApi, settings: ProcessSettings) -> Callable[..., Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        async with patience(request, settings):
            answer: Message = await api.answer(await _read(method, request))
            large = answer.ByteSize() > SLOW_BYTES
            return await asyncio.to_thread(_render, answer) if large else _render(answer)

    return endpoint


async def _read(method: Method, request: Request) -> Message:
    named = request.path_params
    message = method.request()
    known = [name for name in message.DESCRIPTOR.fields_by_name if name not in named]
    if method.verb == "POST":
        fill(message, await read_object(request), known)
    else:
        from_texts(message, unique(request.query_params.multi_items()), known)
    for name, value in named.items():
        setattr(message, name, value)
    return message


def _render(answer: Message) -> Response:
    return JSONResponse(to_json(answer))
