"""What /docs says of several routes alike."""

from typing import Any

from pydantic import BaseModel

from gateway.http import schemas
from gateway.http.errors import error_body
from servicekit.errors import TriptychError, http_status

_REQUEST_ID = "4f1c0c3e6f0b4b7c9d54d1c3a9a3a8f1"

DEFAULT: dict[str, Any] = {"description": "Every other failure has the same shape.", "model": schemas.Error}
"""With it FastAPI also leaves out its own 422, which is never sent."""


def failure(description: str, error: TriptychError) -> dict[str, Any]:
    """Describes one status of a failure, with an example."""
    content = {"application/json": {"example": error_body(error, _REQUEST_ID)}}
    return {"description": description, "model": schemas.Error, "content": content}


def failures(*each: tuple[str, TriptychError]) -> dict[int | str, dict[str, Any]]:
    """Describes failures under their own statuses, and all others."""
    return {**{http_status(error): failure(text, error) for text, error in each}, "default": DEFAULT}


def parameter(name: str, place: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describes a parameter in the `path`, the `query` or a `header`."""
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, "description": description, "schema": schema, **required}


def header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describes a header of a request."""
    return parameter(name, "header", description, schema)


HEADERS = [
    header(
        "X-Request-ID",
        "At most 128 printable characters without spaces; comes back with the answer. Absent or malformed: made.",
        {"type": "string", "maxLength": 128},
    ),
    header(
        "X-Timeout-Ms",
        "How long the caller waits, in milliseconds; at most 60000. Absent: 10000.",
        {"type": "integer", "minimum": 1},
    ),
]


def inlined(*models: type[BaseModel]) -> dict[str, Any]:
    """Returns the schema of a body, or of a choice of bodies, without references: they would lead nowhere here."""
    bodies = [_resolved(schema, schema.pop("$defs", {})) for schema in (each.model_json_schema() for each in models)]
    return bodies[0] if len(bodies) == 1 else {"anyOf": bodies}


def _resolved(value: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_resolved(each, definitions) for each in value]
    if not isinstance(value, dict):
        return value
    own = {name: _resolved(each, definitions) for name, each in value.items() if name != "$ref"}
    if "$ref" not in value:
        return own
    return {**_resolved(definitions[value["$ref"].rpartition("/")[2]], definitions), **own}
