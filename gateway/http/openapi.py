"""What /docs says about each route, with examples that work as they stand."""

from typing import Any

import triptych
from gateway.http import schemas
from gateway.http.example import CAT
from gateway.http.openapi_parts import DEFAULT, HEADERS, failure, header, inlined
from gateway.requests import readable
from servicekit.errors import (
    DeadlineExceeded,
    InvalidArgument,
    Reason,
    ResourceExhausted,
    Unavailable,
    unknown_model,
)
from servicekit.settings import MIB

ABOUT: dict[str, Any] = {
    "title": "Triptych",
    "version": triptych.__version__,
    "description": "Classifies photographs. The same messages, limits and errors are served over gRPC.",
    "license_info": {"name": "Apache-2.0"},
    "redoc_url": None,
    "swagger_ui_parameters": {"validatorUrl": None},  # the page must not ask anybody else
}

CLASSIFY_PATH = "/api/v1/classify"
_CLASSIFICATION: dict[str, Any] = {
    "predictions": [{"index": 285, "label": "Egyptian cat", "score": 0.71}],
    "model": "efficientnet_lite0",
    "version": "1",
    "prediction_id": "019a1b2c-0000-7000-8000-000000000000",
    "timing": {
        "total_ms": 9.8, "preprocess_ms": 4.1, "decode_ms": 2.6, "inference_ms": 4.6,
        "queue_ms": 0.9, "compute_ms": 3.3, "postprocess_ms": 1.0,
    },
    "experiment": "",
    "arm": "",
}  # fmt: skip


_TOO_LARGE = f"An image may have at most {readable(16 * MIB)}; this one has 20000000. Scale it down first."
_GZIP = "Content-Encoding 'gzip' is not supported; send the body as it is, without the header."
_FAILURES: dict[int | str, dict[str, Any]] = {
    400: failure(
        "The request is wrong; `error.reason` and the field violation say how.",
        InvalidArgument("top_k must be 1 to 1000; it is 0.", field="top_k"),
    ),
    404: failure("There is no such model or version.", unknown_model("resnet", ["efficientnet_lite0"])),
    413: failure(
        "An image or the body is too large.",
        InvalidArgument(_TOO_LARGE, reason=Reason.IMAGE_TOO_LARGE, field="image_base64"),
    ),
    415: failure(
        "The content type is none of the three, or the body is compressed.",
        InvalidArgument(_GZIP, reason=Reason.MEDIA_TYPE_UNSUPPORTED, field="content-encoding"),
    ),
    429: failure(
        "Too much work is waiting; `Retry-After` says when to come back.",
        ResourceExhausted("512 images are in work, and at most 512 may be.", retry_after_s=0.5),
    ),
    503: failure(
        "A service behind the gateway is away; `Retry-After` says when to come back.",
        Unavailable("The inference service is away.", retry_after_s=1.0),
    ),
    504: failure("The answer was not ready in time.", DeadlineExceeded("The call did not finish within 10 s.")),
}


def _option_schemas() -> dict[str, Any]:
    properties = schemas.ClassifyBody.model_json_schema()["properties"]
    names = ("model", "version", "top_k", "min_score")
    return {name: {**properties[name]["anyOf"][0], "description": properties[name]["description"]} for name in names}


_QUERY = [
    {
        "name": name,
        "in": "query",
        "schema": schema,
        "description": f"{schema['description']} For raw and multipart bodies only; with JSON it stands in the body.",
    }
    for name, schema in _option_schemas().items()
]
_KEYS = [
    header(
        "X-Route-Key",
        "Who asks, for experiments: the same key gets the same arm. At most 256 characters. Absent: the tenant, else "
        "the request id.",
        {"type": "string", "maxLength": 256},
    ),
    header(
        "X-Tenant",
        "On whose behalf; experiments may ask for tenants. At most 256 characters. Absent: nobody's.",
        {"type": "string", "maxLength": 256},
    ),
]

_FILE = {"type": "string", "format": "binary"}
_RAW_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "application/octet-stream")
_FORM = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "array", "items": _FILE}, **_option_schemas()},
}
_JSON_EXAMPLES = {
    "one image": {"value": {"image_base64": CAT, "top_k": 3}},
    "several images": {"value": {"images": [{"image_base64": CAT}, {"image_base64": CAT}]}},
}
_DESCRIPTION = """\
One image is answered with one object, several (`images`, or several files) with a list of these.

A file as the body, and a form:

    curl --data-binary @cat.jpg -H 'Content-Type: image/jpeg' 'localhost:8080/api/v1/classify?top_k=3'
    curl -F image=@cat.jpg -F image=@dog.png -F top_k=3 localhost:8080/api/v1/classify
"""

CLASSIFY: dict[str, Any] = {
    "summary": "Classify one or several images",
    "operation_id": "classify",
    "description": _DESCRIPTION,
    "tags": ["classification"],
    "responses": {
        200: {
            "description": "What the image shows, or a list of these.",
            "model": schemas.Classification | list[schemas.Classification],
            "content": {"application/json": {"example": _CLASSIFICATION}},
        },
        **_FAILURES,
        "default": DEFAULT,
    },
    "openapi_extra": {
        "parameters": [*_QUERY, *_KEYS, *HEADERS],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": inlined(schemas.ClassifyBody), "examples": _JSON_EXAMPLES},
                **{media_type: {"schema": _FILE} for media_type in _RAW_TYPES},
                "multipart/form-data": {"schema": _FORM},
            },
        },
    },
}
MODELS: dict[str, Any] = {
    "summary": "List the models",
    "operation_id": "list_models",
    "tags": ["models"],
    "responses": {200: {"model": schemas.Models}, "default": DEFAULT},
}
MODEL: dict[str, Any] = {
    "summary": "Describe one model",
    "operation_id": "get_model",
    "tags": ["models"],
    "responses": {200: {"model": schemas.Model}, 404: _FAILURES[404], "default": DEFAULT},
}
HEALTHZ: dict[str, Any] = {
    "summary": "Is the process alive?",
    "operation_id": "healthz",
    "tags": ["operations"],
    "responses": {200: {"model": schemas.Alive}},
}
READYZ: dict[str, Any] = {
    "summary": "Is every dependency there, and which versions are live?",
    "operation_id": "readyz",
    "tags": ["operations"],
    "responses": {
        200: {"model": schemas.Ready},
        503: {"description": "At least one dependency is away; the body says which.", "model": schemas.Ready},
    },
}
METRICS: dict[str, Any] = {
    "summary": "Prometheus metrics",
    "operation_id": "metrics",
    "tags": ["operations"],
    "responses": {200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}},
}
