"""The gateway's HTTP side of experiments and feedback, over a real uvicorn.

The experiments service is a scripted server at the wire: it keeps nothing, and answers as it is told.
"""

import asyncio
from typing import Any

import pytest
from fakes.experiment_requests import BODY, FEEDBACK, ONE, TRIAL, V1, error_of, field_of
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours
from fakes.scripted_experiments import FakeExperiments, experiment
from prometheus_client import REGISTRY

from servicekit.errors import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    Reason,
    ResourceExhausted,
    TriptychError,
)
from triptych.experiments.v1 import experiment_pb2
from triptych.experiments.v1 import experiment_service_pb2 as pb
from triptych.experiments.v1 import feedback_service_pb2 as feedback_pb


@pytest.fixture
def gateway(experimenting: Gateway) -> Gateway:
    """A gateway with an experiments service behind it."""
    return experimenting


WHO = {"actor": "ann", "reason": "Why not?"}
ROUTES: list[tuple[str, str, dict[str, Any], str, Any]] = [
    (
        "GET",
        f"{V1}/experiments?page_size=5&page_token=t&model=other&running=true",
        {},
        "ListExperiments",
        pb.ListExperimentsRequest(page_size=5, page_token="t", model="other", running=True),  # noqa: S106 (no password)
    ),
    (
        "POST",
        f"{V1}/experiments",
        {"json": {"experiment": BODY, "start": True, "actor": "ann"}},
        "CreateExperiment",
        pb.CreateExperimentRequest(experiment=experiment("1", "2"), start=True, actor="ann"),
    ),
    ("GET", TRIAL, {}, "GetExperiment", pb.GetExperimentRequest(name="trial")),
    ("DELETE", f"{TRIAL}?actor=ann", {}, "DeleteExperiment", pb.DeleteExperimentRequest(name="trial", actor="ann")),
    ("POST", f"{TRIAL}/start", {"json": WHO}, "StartExperiment", pb.StartExperimentRequest(name="trial", **WHO)),
    ("POST", f"{TRIAL}/stop", {"json": {}}, "StopExperiment", pb.StopExperimentRequest(name="trial")),
    (
        "POST",
        f"{TRIAL}/weights",
        {"json": {"weights": {"a": 1, "b": 2.5}}},
        "SetWeights",
        pb.SetWeightsRequest(name="trial", weights={"a": 1, "b": 2.5}),
    ),
    ("POST", f"{TRIAL}/weights", {"json": {"anew": True}}, "SetWeights", pb.SetWeightsRequest(name="trial", anew=True)),
    (
        "POST",
        f"{TRIAL}/promote",
        {"json": {"arm": "b"}},
        "PromoteArm",
        pb.PromoteArmRequest(name="trial", arm="b"),
    ),
    ("GET", f"{TRIAL}/verdicts", {}, "GetVerdicts", pb.GetVerdictsRequest(name="trial")),
    ("GET", f"{TRIAL}/verdicts/history", {}, "ListVerdicts", pb.ListVerdictsRequest(name="trial")),
    ("GET", f"{TRIAL}/decisions?page_size=2", {}, "ListDecisions", pb.ListDecisionsRequest(name="trial", page_size=2)),
    ("GET", f"{V1}/decisions", {}, "ListDecisions", pb.ListDecisionsRequest()),
    (
        "POST",
        f"{V1}/models/other/pin",
        {"json": {"version": "2"}},
        "PinVersion",
        pb.PinVersionRequest(model="other", version="2"),
    ),
    ("POST", f"{V1}/holdout", {"json": {"share": 0.25, **WHO}}, "SetHoldout", pb.SetHoldoutRequest(share=0.25, **WHO)),
    (
        "POST",
        FEEDBACK,
        {"json": ONE},
        "SubmitFeedback",
        feedback_pb.SubmitFeedbackRequest(feedback=[feedback_pb.Feedback(**ONE)]),
    ),
    (
        "DELETE",
        f"{V1}/predictions/p%20q?actor=ann",
        {},
        "DeletePredictions",
        feedback_pb.DeletePredictionsRequest(prediction_ids=["p q"], actor="ann"),
    ),
]


@pytest.mark.parametrize(("verb", "path", "sent", "method", "request_"), ROUTES)
async def test_a_route_is_a_method(
    gateway: Gateway, service: FakeExperiments, verb: str, path: str, sent: dict[str, Any], method: str, request_: Any
) -> None:
    """Path, query and body together are the method's request."""
    response = await gateway.client.request(verb, path, **sent)

    assert (200, method, request_) == (response.status_code, service.last.method, service.last.request), response.text


async def test_an_experiment_is_told_whole(gateway: Gateway, service: FakeExperiments) -> None:
    """Every field that is not optional is there, in the contract's names."""
    made = experiment("1", "2")
    made.state = experiment_pb2.EXPERIMENT_STATE_RUNNING
    made.ramp.min_keys = 100
    made.create_time.FromJsonString("2026-11-28T12:00:00Z")
    service.scripts["GetExperiment"] = pb.GetExperimentResponse(experiment=made)
    answer = (await gateway.client.get(TRIAL)).json()["experiment"]

    assert ("EXPERIMENT_STATE_RUNNING", "100", "2026-11-28T12:00:00Z", [], 0) == (
        answer["state"],
        answer["ramp"]["min_keys"],  # protobuf's JSON of 64 bits
        answer["create_time"],
        answer["shadows"],
        answer["step"],
    )
    assert "end_time" not in answer
    assert ["name", "model", "description", "arms", "shadows", "layer"] == list(answer)[:6]


async def test_a_roll_back_must_not_lead_to_the_candidate(gateway: Gateway, service: FakeExperiments) -> None:
    """The pinned version can only be the control; the field says which arm it is."""
    service.routing.pins["other"] = "2"
    response = await gateway.client.post(f"{V1}/experiments", json={"experiment": BODY, "start": True})

    assert (400, "EXPERIMENT_STATE", "experiment.arms[1].version") == (
        response.status_code,
        error_of(response)["reason"],
        field_of(response),
    )


async def test_lists_have_a_next_page(gateway: Gateway, service: FakeExperiments) -> None:
    """The token is there even when it is empty."""
    service.scripts["ListDecisions"] = pb.ListDecisionsResponse(
        decisions=[experiment_pb2.Decision(id=7, experiment="trial", action="stop", actor="rule")]
    )
    answer = (await gateway.client.get(f"{V1}/decisions")).json()

    assert ("7", "rule", "") == (
        answer["decisions"][0]["id"],
        answer["decisions"][0]["actor"],
        answer["next_page_token"],
    )


async def test_a_long_history_is_told(gateway: Gateway, service: FakeExperiments) -> None:
    """An answer too large to be rendered between two requests is rendered all the same."""
    verdict = experiment_pb2.Verdict(candidate="b", advice="go on", sentence="Nothing is sure yet.")
    service.scripts["ListVerdicts"] = pb.ListVerdictsResponse(verdicts=[verdict] * 3000)
    response = await gateway.client.get(f"{TRIAL}/verdicts/history?after=2026-11-28T12:00:00Z")

    assert (3000, 1_795_867_200) == (len(response.json()["verdicts"]), service.last.request.after.seconds)


async def test_accepted_feedback_is_counted(gateway: Gateway, service: FakeExperiments) -> None:
    """The answer says how many were taken."""
    service.scripts["SubmitFeedback"] = feedback_pb.SubmitFeedbackResponse(accepted_count=2)
    items = [{"prediction_id": "p", "label": "tabby", "source": "annotator"}, {**ONE, "label_index": 28}]
    response = await gateway.client.post(FEEDBACK, json={"feedback": items})

    assert (200, {"accepted": 2}) == (response.status_code, response.json())
    assert [feedback_pb.FEEDBACK_SOURCE_ANNOTATOR, 0] == [each.source for each in service.last.request.feedback]


async def test_labels_that_no_model_has_are_told(gateway: Gateway, service: FakeExperiments) -> None:
    """They are taken; who sends one alone has no list in it."""
    answers = [(await gateway.client.post(FEEDBACK, json=each)).json() for each in (ONE, {"feedback": [ONE]})]
    told = "label_index is 281, and no model here has more than 256 classes."

    assert [1, 1] == [each["unknown_label_count"] for each in answers]
    assert [[told], [f"feedback[0].{told}"]] == [each["unknown_labels"] for each in answers]
    assert ["SubmitFeedback"] * 2 == [each.method for each in service.asked]


async def test_large_feedback_is_read(gateway: Gateway, service: FakeExperiments) -> None:
    """A thousand labels in one request."""
    response = await gateway.client.post(FEEDBACK, json={"feedback": [{**ONE, "feedback_id": "f" * 64}] * 1000})

    assert (200, 1000) == (response.status_code, len(service.last.request.feedback))


ERRORS: list[tuple[int, TriptychError]] = [
    (404, NotFound("There is none.", reason=Reason.EXPERIMENT_NOT_FOUND, field="name")),
    (409, AlreadyExists("It was used.", field="experiment.name")),
    (400, FailedPrecondition("It does not run.", field="name")),
    (429, ResourceExhausted("There is no room.", reason=Reason.STORE_FULL, retry_after_s=5)),
]


@pytest.mark.parametrize(("status", "error"), ERRORS)
async def test_the_services_errors_come_through(
    gateway: Gateway, service: FakeExperiments, status: int, error: TriptychError
) -> None:
    """Status, code, reason, sentence, field and retry hint are the service's own, in the usual shape."""
    service.scripts["StopExperiment"] = error
    response = await gateway.client.post(f"{TRIAL}/stop", json={}, headers={"X-Request-ID": "order-7"})
    got = error_of(response)

    assert (status, error.code.name, error.reason, error.message, error.field, "order-7") == (
        response.status_code,
        got["status"],
        got["reason"],
        got["message"],
        field_of(response),
        got["request_id"],
    )
    assert ("5" if error.retry_after_s else None) == response.headers.get("Retry-After")


async def test_ids_and_patience_go_along(gateway: Gateway, service: FakeExperiments) -> None:
    """The service learns the request's id, and how long its caller waits."""
    headers = {"X-Request-ID": "order-7", "X-Timeout-Ms": "2500"}
    response = await gateway.client.post(FEEDBACK, json=ONE, headers=headers)
    left_s = service.last.left_s

    assert ("order-7", "order-7") == (response.headers["X-Request-ID"], service.last.metadata["x-request-id"])
    assert left_s is not None
    assert 1 < left_s < 2.7  # gRPC rounds up


async def test_a_slow_service_is_504(gateway: Gateway, service: FakeExperiments) -> None:
    """Patience ends the call."""

    async def holds(_request: Any) -> Any:
        await asyncio.Event().wait()

    service.scripts["SubmitFeedback"] = holds
    response = await gateway.client.post(FEEDBACK, json=ONE, headers={"X-Timeout-Ms": "300"})

    assert (504, "DEADLINE_EXCEEDED") == (response.status_code, error_of(response)["reason"])


async def test_a_service_that_is_away_is_503(gateway: Gateway, service: FakeExperiments) -> None:
    """With the time after which to come back."""
    await service.stop()
    answers = [
        await gateway.client.post(FEEDBACK, json=ONE),
        await gateway.client.get(TRIAL),
        await gateway.client.delete(f"{V1}/predictions/p"),
    ]

    assert [(503, "DEPENDENCY_UNAVAILABLE", "1")] * 3 == [
        (each.status_code, error_of(each)["reason"], each.headers["Retry-After"]) for each in answers
    ]


async def test_without_the_service_all_is_501(behind: Neighbours) -> None:
    """The sentence names the setting; classifying goes on."""
    async with running_gateway(behind) as gateway:
        answers = [await gateway.client.request(verb, path, **sent) for verb, path, sent, _, _ in ROUTES]
        image = await gateway.client.post(f"{V1}/classify", content=b"a", headers={"Content-Type": "image/png"})

    assert {(501, "UNIMPLEMENTED", "EXPERIMENTS_OFF")} == {
        (each.status_code, error_of(each)["status"], error_of(each)["reason"]) for each in answers
    }
    assert "TRIPTYCH_EXPERIMENTS_TARGET is not set" in error_of(answers[0])["message"]
    assert 200 == image.status_code


async def test_what_the_operator_keeps_is_403(behind: Neighbours, service: FakeExperiments) -> None:
    """Without `experiments_admin` nothing is changed; reading and feedback go on."""
    async with running_gateway(behind, experiments_target=service.target, experiments_admin=False) as gateway:
        answers = {(verb, path): await gateway.client.request(verb, path, **sent) for verb, path, sent, _, _ in ROUTES}
        annotator = await gateway.client.post(FEEDBACK, json={**ONE, "source": "annotator"})
    refused = {where for where, answer in answers.items() if answer.status_code == 403}

    assert {where for where in answers if where[0] != "GET"} - {("POST", FEEDBACK)} == refused
    assert {200, 403} == {answer.status_code for answer in answers.values()}
    assert {"EXPERIMENTS_OFF"} == {error_of(answers[where])["reason"] for where in refused}
    assert (403, "source") == (annotator.status_code, field_of(annotator))


def _counted(route: str) -> float:
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "triptych_http_requests_total" and sample.labels["route"] == route
    )


@pytest.mark.parametrize(
    ("route", "path"),
    [
        (f"{V1}/feedback", FEEDBACK),
        (f"{V1}/experiments", f"{V1}/experiments"),
        (f"{V1}/experiments/{{name}}", TRIAL),
        (f"{V1}/experiments/{{name}}/verdicts", f"{TRIAL}/verdicts"),
        (f"{V1}/experiments/{{name}}/verdicts/history", f"{TRIAL}/verdicts/history"),
        (f"{V1}/experiments/{{name}}/stop", f"{TRIAL}/stop"),
        (f"{V1}/predictions/{{prediction_id}}", f"{V1}/predictions/p"),
        (f"{V1}/models/{{model}}", f"{V1}/models/tiny"),
        (f"{V1}/models/{{model}}/pin", f"{V1}/models/tiny/pin"),
        ("other", f"{TRIAL}/restart"),
        ("other", f"{V1}/predictions"),
        ("other", f"{V1}/models/a/b/c"),
    ],
)
async def test_requests_are_counted_by_route(gateway: Gateway, route: str, path: str) -> None:
    """Names that callers choose make no series."""
    before = _counted(route)
    await gateway.client.get(path)

    assert 1 == _counted(route) - before
