"""What /docs says about each route, with examples that work as they stand."""

from typing import Any

import triptych
from gateway.http.body import ClassifyBody

# The smallest photograph there is: one grey pixel, as PNG.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="

TIMEOUT = "How long the caller waits, in milliseconds; at most 60000. Absent: 10000."

ABOUT: dict[str, Any] = {
    "title": "Triptych",
    "version": triptych.__version__,
    "description": "Classifies photographs. The same messages, limits and errors are served over gRPC.",
    "license_info": {"name": "Apache-2.0"},
    "redoc_url": None,
}

_BINARY = {"schema": {"type": "string", "format": "binary"}}
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
_ERROR: dict[str, Any] = {
    "error": {
        "code": 400,
        "status": "INVALID_ARGUMENT",
        "reason": "FIELD_INVALID",
        "message": "top_k must be 1 to 1000; it is 0.",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "FIELD_INVALID", "domain": "triptych"},
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "field_violations": [{"field": "top_k", "description": "top_k must be 1 to 1000; it is 0."}],
            },
        ],
    }
}


def _json(description: str, example: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": example}}}


def _schema() -> dict[str, Any]:
    """Returns the JSON body's schema without references, which would lead nowhere inside the document."""
    schema = ClassifyBody.model_json_schema()
    schema["properties"]["images"]["anyOf"][0]["items"] = schema.pop("$defs")["ImageBody"]
    return schema


_FAILURES: dict[int | str, dict[str, Any]] = {
    400: _json("The request is wrong; `error.reason` and the field violation say how.", _ERROR),
    404: _json("There is no such model or version.", _ERROR),
    413: _json("An image or the body is too large.", _ERROR),
    415: _json("The content type is none of the three.", _ERROR),
    429: _json("Too much work is waiting; `Retry-After` says when to come back.", _ERROR),
    503: _json("A service behind the gateway is away; `Retry-After` says when to come back.", _ERROR),
    504: _json("The answer was not ready in time.", _ERROR),
}

_OPTIONS = [
    {
        "name": "model",
        "in": "query",
        "schema": {"type": "string"},
        "description": "For raw and multipart bodies, as in JSON.",
    },
    {
        "name": "version",
        "in": "query",
        "schema": {"type": "string"},
        "description": "For raw and multipart bodies, as in JSON.",
    },
    {
        "name": "top_k",
        "in": "query",
        "schema": {"type": "integer"},
        "description": "For raw and multipart bodies, as in JSON.",
    },
    {
        "name": "min_score",
        "in": "query",
        "schema": {"type": "number"},
        "description": "For raw and multipart bodies, as in JSON.",
    },
]

CLASSIFY: dict[str, Any] = {
    "summary": "Classify one or several images",
    "description": "One image is answered with one object, several (`images`, or several files) with a list of these.",
    "tags": ["classification"],
    "responses": {200: _json("What the image shows.", _CLASSIFICATION), **_FAILURES},
    "openapi_extra": {
        "parameters": _OPTIONS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _schema(),
                    "examples": {
                        "one image": {"value": {"image_base64": PIXEL, "top_k": 3}},
                        "several images": {"value": {"images": [{"image_base64": PIXEL}, {"image_base64": PIXEL}]}},
                    },
                },
                "image/jpeg": _BINARY,
                "image/png": _BINARY,
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    }
                },
            },
        },
    },
}
MODELS: dict[str, Any] = {"summary": "List the models", "tags": ["models"], "responses": {503: _FAILURES[503]}}
MODEL: dict[str, Any] = {"summary": "Describe one model", "tags": ["models"], "responses": {404: _FAILURES[404]}}
HEALTHZ: dict[str, Any] = {"summary": "Is the process alive?", "tags": ["operations"]}
READYZ: dict[str, Any] = {
    "summary": "Is every dependency there, and which versions are live?",
    "tags": ["operations"],
    "responses": {503: {"description": "At least one dependency is away; the body says which."}},
}
METRICS: dict[str, Any] = {"summary": "Prometheus metrics", "tags": ["operations"]}
