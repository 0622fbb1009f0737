"""The routes of feedback and of forgetting."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from gateway.experiments_api import ExperimentsApi
from gateway.http import feedback_docs
from gateway.http.message_json import fill, from_texts
from gateway.http.options import refuse_unknown, unique
from gateway.http.patience import patience
from gateway.http.small_json import read_object
from servicekit.errors import TriptychError
from servicekit.settings import ProcessSettings
from triptych.experiments.v1 import feedback_service_pb2 as pb

_FIELDS = (*pb.Feedback.DESCRIPTOR.fields_by_name, "feedback")
_ONE = {"feedback[0].": "", "feedback[0]": "the feedback"}
_PREDICTION = {"prediction_ids[0]": "prediction_id"}
"""What the service calls the only one of a request, whose caller gave it no place; and what the caller does."""


def read_feedback(fields: Mapping[str, Any]) -> tuple[pb.SubmitFeedbackRequest, bool]:
    """Returns the request that a JSON object asks for, and whether the object itself is the feedback.

    Raises:
        InvalidArgument: a field is unknown, given twice, or of the wrong type.
    """
    refuse_unknown(fields, _FIELDS, kind="field")
    request = pb.SubmitFeedbackRequest()
    given = {name: value for name, value in fields.items() if value is not None}
    single = "feedback" not in given
    fill(request.feedback.add() if single else request, given)
    return request, single


def add_feedback_routes(app: FastAPI, api: ExperimentsApi, settings: ProcessSettings) -> None:
    """Adds the routes to an application."""

    @app.post("/api/v1/feedback", **feedback_docs.SUBMIT)
    async def submit_feedback(request: Request) -> Response:
        async with patience(request, settings):
            asked, single = read_feedback(await read_object(request))
            try:
                answer: pb.SubmitFeedbackResponse = await api.answer(asked)
            except TriptychError as error:
                raise _renamed(error, _ONE) if single else error from None
        told = [_in_words(each, _ONE if single else {}) for each in answer.unknown_labels]
        unknown = {"unknown_label_count": answer.unknown_label_count, "unknown_labels": told} if told else {}
        return JSONResponse({"accepted": answer.accepted_count, **unknown})

    @app.delete("/api/v1/predictions/{prediction_id}", **feedback_docs.DELETE)
    async def delete_prediction(prediction_id: str, request: Request) -> Response:
        async with patience(request, settings):
            asked = pb.DeletePredictionsRequest(prediction_ids=[prediction_id])
            from_texts(asked, unique(request.query_params.multi_items()), ("actor", "reason"))
            try:
                await api.answer(asked)
            except TriptychError as error:
                raise _renamed(error, _PREDICTION) from None
        return JSONResponse({})


def _in_words(text: str, names: Mapping[str, str]) -> str:
    for path, name in names.items():
        text = text.replace(path, name)
    return text


def _renamed(error: TriptychError, names: Mapping[str, str]) -> TriptychError:
    """Returns an error in the words of a caller who knows some paths by other names."""
    message, field = _in_words(error.message, names), _in_words(error.field, names)
    return type(error)(message, reason=error.reason, field=field, retry_after_s=error.retry_after_s)
