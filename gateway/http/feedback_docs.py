"""What /docs says of feedback and of forgetting, with examples that work as they stand."""

from typing import Any

from gateway.http import experiment_schemas as schemas
from gateway.http.openapi_parts import HEADERS, failures, inlined, parameter
from servicekit.errors import (
    InvalidArgument,
    PermissionDenied,
    Reason,
    ResourceExhausted,
    TriptychError,
    Unavailable,
    Unimplemented,
)

ID = "019a1b2c-0000-7000-8000-000000000000"
AWAY: tuple[str, TriptychError] = (
    "The experiments service is away; `Retry-After` says when to come back.",
    Unavailable("The experiments service cannot be reached.", retry_after_s=1.0),
)
OFF: tuple[str, TriptychError] = (
    "This installation has no experiments service.",
    Unimplemented("There are no experiments here, and nobody takes feedback: TRIPTYCH_EXPERIMENTS_TARGET is not set."),
)
DENIED: tuple[str, TriptychError] = (
    "This gateway lets nobody change experiments or delete predictions.",
    PermissionDenied(
        "This gateway lets nobody change experiments, pins or the holdout, export feedback, or delete predictions: "
        "TRIPTYCH_EXPERIMENTS_ADMIN is off."
    ),
)
_ANNOTATOR: tuple[str, TriptychError] = (
    "This gateway lets nobody be an annotator.",
    PermissionDenied(
        "source must not be annotator here, whose word goes above all others: "
        "TRIPTYCH_EXPERIMENTS_ADMIN of this gateway is off.",
        field="source",
    ),
)
_DESCRIPTION = """\
Answered once it is on disk: what was accepted is counted, once, whatever fails afterwards. A repeat is accepted and
counted once; another label from the same source corrects the one before. A prediction that is not known yet may become
so: its labels are kept. Of several in one request all are taken, or none.

    curl -H 'Content-Type: application/json' localhost:8080/api/v1/feedback \\
      -d '{"prediction_id": "019a1b2c-0000-7000-8000-000000000000", "label_index": 281}'
"""

SUBMIT: dict[str, Any] = {
    "summary": "Say what was right",
    "operation_id": "submit_feedback",
    "description": _DESCRIPTION,
    "tags": ["feedback"],
    "responses": {
        200: {
            "description": "All of it is safe.",
            "model": schemas.Accepted,
            "content": {"application/json": {"example": {"accepted": 1}}},
        },
        **failures(
            (
                "The request is wrong; `error.reason` and the field violation say how.",
                InvalidArgument("Give label_index or label, not both.", field="label"),
            ),
            _ANNOTATOR,
            (
                "The body is too large.",
                InvalidArgument(
                    "The body of this route may have at most 1 MiB (1048576 bytes).",
                    reason=Reason.REQUEST_TOO_LARGE,
                    field="body",
                ),
            ),
            (
                "There is no room; nothing was taken. `Retry-After` says when to come back.",
                ResourceExhausted("There is no room for more feedback.", reason=Reason.STORE_FULL, retry_after_s=5.0),
            ),
            OFF,
            AWAY,
        ),
    },
    "openapi_extra": {
        "parameters": HEADERS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": inlined(schemas.FeedbackItem, schemas.FeedbackBatch),
                    "examples": {
                        "by index": {"value": {"prediction_id": ID, "label_index": 281}},
                        "by name": {"value": {"prediction_id": ID, "label": "tabby", "source": "annotator"}},
                        "several": {
                            "value": {
                                "feedback": [
                                    {"prediction_id": ID, "label": "tabby", "time": "2026-11-28T12:00:00Z"},
                                    {"prediction_id": ID, "label": "tiger cat", "feedback_id": "ticket-7"},
                                ]
                            }
                        },
                    },
                }
            },
        },
    },
}
DELETE: dict[str, Any] = {
    "summary": "Forget a prediction",
    "operation_id": "delete_prediction",
    "description": "Forgets what was logged of it, its image, its shadows and its labels, also those to come. The log "
    "of decisions tells who wanted it, and why; not which one.",
    "tags": ["feedback"],
    "responses": {
        200: {
            "description": "It will be forgotten, at once or as soon as the database is there.",
            "model": schemas.Done,
            "content": {"application/json": {"example": {}}},
        },
        **failures(DENIED, OFF, AWAY),
    },
    "openapi_extra": {
        "parameters": [
            parameter("prediction_id", "path", "That of the answer.", {"type": "string", "maxLength": 64}),
            parameter("actor", "query", schemas.ACTOR, {"type": "string", "maxLength": 100}),
            parameter("reason", "query", "Why, for the log of decisions.", {"type": "string", "maxLength": 500}),
            *HEADERS,
        ]
    },
}
