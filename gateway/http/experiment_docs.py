"""What /docs says of experiments, with examples that work as they stand."""

from typing import Any

from pydantic import BaseModel

from gateway.http import experiment_schemas as schemas
from gateway.http.feedback_docs import AWAY, DENIED, OFF
from gateway.http.openapi_parts import HEADERS, failures, inlined, parameter
from servicekit.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Reason, TriptychError

_EXPERIMENT = {
    "name": "int8",
    "model": "efficientnet_lite0",
    "description": "Is the small engine as good?",
    "arms": [{"name": "fp32", "version": "1", "weight": 90}, {"name": "int8", "version": "2", "weight": 10}],
}
_WHO = {"actor": "ann", "reason": "It looks good."}

_NAME = parameter("name", "path", "Name of the experiment.", {"type": "string"})
_MODEL = parameter("model", "path", "Name of the model.", {"type": "string"})
_ACTOR = parameter("actor", "query", schemas.ACTOR, {"type": "string", "maxLength": 100})
_PAGES = [
    parameter("page_size", "query", "Most to return. 0: 100.", {"type": "integer", "minimum": 0, "maximum": 1000}),
    parameter("page_token", "query", "`next_page_token` of the answer before.", {"type": "string"}),
]

_UNKNOWN: tuple[str, TriptychError] = (
    "There is no such experiment.",
    NotFound("There is no experiment 'int9'.", reason=Reason.EXPERIMENT_NOT_FOUND, field="name"),
)
_STATE: tuple[str, TriptychError] = (
    "The request is wrong, or the experiment is not in a state in which this can be done; `error.reason` says which.",
    FailedPrecondition("The experiment 'int8' does not run: it was stopped.", field="name"),
)
_EFFECT: tuple[str, TriptychError] = (
    "The request is wrong, or would have no effect; `error.reason` and the field violation say how.",
    InvalidArgument(
        "The arm or shadow 'int8' would have no effect: version 2 of the model 'efficientnet_lite0' takes no requests.",
        reason=Reason.EXPERIMENT_WITHOUT_EFFECT,
        field="experiment.arms[1].version",
    ),
)
_VERSION: tuple[str, TriptychError] = (
    "There is no such experiment, model or version.",
    NotFound(
        "The model 'efficientnet_lite0' has no version '3'; it has 1, 2.",
        reason=Reason.MODEL_VERSION_NOT_FOUND,
        field="experiment.arms[1].version",
    ),
)
_EXISTS: tuple[str, TriptychError] = (
    "The name was used before.",
    AlreadyExists("There has been an experiment 'int8'.", field="experiment.name"),
)
_LIMIT: tuple[str, TriptychError] = (
    "The request is wrong; `error.reason` and the field violation say how.",
    InvalidArgument("page_size must be 0 to 1000; it is 2000.", field="page_size"),
)


def _operation(
    name: str,
    summary: str,
    answer: type[BaseModel],
    faults: list[tuple[str, TriptychError]],
    parameters: list[dict[str, Any]],
    description: str = "",
) -> dict[str, Any]:
    return {
        "summary": summary,
        "operation_id": name,
        "description": description,
        "tags": ["experiments"],
        "responses": {200: {"model": answer}, **failures(*faults, OFF, AWAY)},
        "openapi_extra": {"parameters": [*parameters, *HEADERS]},
    }


def _asked(operation: dict[str, Any], body: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Adds the body to an operation that has one."""
    content = {"application/json": {"schema": inlined(body), "example": example}}
    extra = {**operation["openapi_extra"], "requestBody": {"required": True, "content": content}}
    return {**operation, "openapi_extra": extra}


LIST = _operation(
    "list_experiments",
    "List experiments",
    schemas.Experiments,
    [_LIMIT],
    [
        *_PAGES,
        parameter("model", "query", "Only those of this model.", {"type": "string"}),
        parameter("running", "query", "`true`: only those that run.", {"type": "boolean"}),
    ],
)
CREATE = _asked(
    _operation(
        "create_experiment",
        "Make an experiment",
        schemas.OneExperiment,
        [_EFFECT, DENIED, _VERSION, _EXISTS],
        [],
        "It is a draft, unless `start` says otherwise. What the service sets must be absent.",
    ),
    schemas.CreateBody,
    {"experiment": _EXPERIMENT, "start": True, "actor": "ann"},
)
GET = _operation("get_experiment", "Show an experiment", schemas.OneExperiment, [_UNKNOWN], [_NAME])
DELETE = _operation(
    "delete_experiment", "Throw a draft away", schemas.Done, [_STATE, DENIED, _UNKNOWN], [_NAME, _ACTOR]
)
START = _asked(
    _operation(
        "start_experiment",
        "Let requests take part",
        schemas.OneExperiment,
        [_STATE, DENIED, _VERSION],
        [_NAME],
        "Every arm and shadow must take requests. Gateways follow within two seconds.",
    ),
    schemas.ActBody,
    _WHO,
)
WEIGHTS = _asked(
    _operation(
        "set_weights",
        "Give the arms other weights",
        schemas.OneExperiment,
        [_STATE, DENIED, _UNKNOWN],
        [_NAME],
        "Ends the ramp; evidence begins anew. With `anew` alone weights and ramp stay as they are.",
    ),
    schemas.WeightsBody,
    {"weights": {"fp32": 50, "int8": 50}, **_WHO},
)
STOP = _asked(
    _operation(
        "stop_experiment",
        "End an experiment",
        schemas.OneExperiment,
        [_STATE, DENIED, _UNKNOWN],
        [_NAME],
        "The model's default version answers everybody.",
    ),
    schemas.ActBody,
    _WHO,
)
PROMOTE = _asked(
    _operation(
        "promote_arm",
        "Let a version answer everybody",
        schemas.OneExperiment,
        [_STATE, DENIED, _VERSION],
        [_NAME],
        "Ends the experiment, and pins the version of an arm or shadow, which must take requests.",
    ),
    schemas.PromoteBody,
    {"arm": "int8", **_WHO},
)
VERDICTS = _operation(
    "get_verdicts",
    "Say what the facts say",
    schemas.Verdicts,
    [_UNKNOWN],
    [_NAME],
    "Of each candidate and shadow, now.",
)
HISTORY = _operation(
    "list_verdicts",
    "Say what the facts said",
    schemas.Verdicts,
    [_UNKNOWN],
    [
        _NAME,
        parameter("after", "query", f"Only what was said after this. {schemas.TIME}", {"type": "string"}),
    ],
    "The oldest first, at most 1,000 of each candidate; where there are more they are evenly thinned out.",
)
DECISIONS_OF_ONE = _operation(
    "list_experiment_decisions", "Tell what was done", schemas.Decisions, [_LIMIT, _UNKNOWN], [_NAME, *_PAGES]
)
DECISIONS = _operation(
    "list_decisions",
    "Tell what was done, with all experiments",
    schemas.Decisions,
    [_LIMIT],
    [parameter("name", "query", "Only with this experiment.", {"type": "string"}), *_PAGES],
)
PIN = _asked(
    _operation(
        "pin_version",
        "Say which version answers requests that name none",
        schemas.Done,
        [_EFFECT, DENIED, _VERSION],
        [_MODEL],
        "The version must take requests. An empty one gives the choice back to the model repository.",
    ),
    schemas.PinBody,
    {"version": "2", **_WHO},
)
HOLDOUT = _asked(
    _operation("set_holdout", "Keep keys out of every experiment", schemas.Done, [_LIMIT, DENIED], []),
    schemas.HoldoutBody,
    {"share": 0.05, **_WHO},
)
