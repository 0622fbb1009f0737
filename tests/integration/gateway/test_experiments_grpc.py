"""The gateway's gRPC side of experiments and feedback: what it checks itself, and what it hands on.

The experiments service is a scripted server at the wire: it keeps nothing, and answers as it is told.
"""

from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc
import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours, model
from fakes.scripted import field_of, reason_of
from fakes.scripted_experiments import FakeExperiments, experiment, running_experiments
from fakes.servers import eventually

from servicekit.errors import FailedPrecondition, NotFound, Reason, ResourceExhausted, TriptychError
from triptych.experiments.v1 import experiment_service_pb2 as pb
from triptych.experiments.v1 import experiment_service_pb2_grpc as pb_grpc
from triptych.experiments.v1 import feedback_service_pb2 as feedback_pb
from triptych.experiments.v1 import feedback_service_pb2_grpc as feedback_grpc
from triptych.inference.v1 import model_pb2

UNREADY = model_pb2.MODEL_STATE_UNAVAILABLE


@pytest.fixture
async def behind() -> AsyncIterator[Neighbours]:
    """The three services; `other` has the versions 1 and 2, and 3, which no model server has loaded."""
    neighbours = Neighbours()
    half = model("other", "1", "2", "3")
    half.versions[2].state, half.versions[2].detail = UNREADY, "No model server has loaded it."
    neighbours.inference.models = [model("tiny"), half, model("asleep", "1", state=UNREADY)]
    async with neighbours.running() as running:
        yield running


@pytest.fixture
async def service() -> AsyncIterator[FakeExperiments]:
    """The experiments service."""
    async with running_experiments() as running:
        yield running


@pytest.fixture
async def gateway(behind: Neighbours, service: FakeExperiments) -> AsyncIterator[Gateway]:
    """A gateway in front of all, ready, without HTTP."""
    async with running_gateway(behind, serve_http=False, experiments_target=service.target) as running:
        yield running


def _experiments(gateway: Gateway) -> Any:
    return pb_grpc.ExperimentServiceStub(gateway.channel)


def _feedback(gateway: Gateway) -> Any:
    return feedback_grpc.FeedbackServiceStub(gateway.channel)


async def _failure(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


TRIAL = experiment("1", "2")
CALLS: list[tuple[str, Any]] = [
    ("CreateExperiment", pb.CreateExperimentRequest(experiment=TRIAL, actor="ann")),
    ("CreateExperiment", pb.CreateExperimentRequest(experiment=experiment("1", "2", shadow="2"), start=True)),
    ("GetExperiment", pb.GetExperimentRequest(name="trial")),
    ("ListExperiments", pb.ListExperimentsRequest(page_size=5, model="other", running=True)),
    ("StartExperiment", pb.StartExperimentRequest(name="trial", reason="Go.")),
    ("SetWeights", pb.SetWeightsRequest(name="trial", weights={"a": 1, "b": 3})),
    ("StopExperiment", pb.StopExperimentRequest(name="trial")),
    ("PromoteArm", pb.PromoteArmRequest(name="trial", arm="b")),
    ("DeleteExperiment", pb.DeleteExperimentRequest(name="trial")),
    ("GetVerdicts", pb.GetVerdictsRequest(name="trial")),
    ("ListVerdicts", pb.ListVerdictsRequest(name="trial")),
    ("ListDecisions", pb.ListDecisionsRequest(page_size=3)),
    ("PinVersion", pb.PinVersionRequest(model="other", version="2")),
    ("PinVersion", pb.PinVersionRequest(model="asleep")),  # no version: to take a pin back is right in any case
    ("SetHoldout", pb.SetHoldoutRequest(share=0.1)),
]


@pytest.mark.parametrize(("method", "request_"), CALLS)
async def test_a_call_arrives_as_it_was_made(
    gateway: Gateway, service: FakeExperiments, method: str, request_: Any
) -> None:
    """Every method reaches the service, with all its fields."""
    service.scripts["GetExperiment"] = pb.GetExperimentResponse(experiment=TRIAL)
    await getattr(_experiments(gateway), method)(request_)

    assert (method, request_) == (service.last.method, service.last.request)


async def test_an_answer_comes_back_as_it_was_given(gateway: Gateway, service: FakeExperiments) -> None:
    """Nothing is added or lost."""
    answer = pb.ListExperimentsResponse(experiments=[TRIAL], next_page_token="t")  # noqa: S106 (no password)
    service.scripts["ListExperiments"] = answer

    assert answer == await _experiments(gateway).ListExperiments(pb.ListExperimentsRequest())


async def test_feedback_is_taken(gateway: Gateway, service: FakeExperiments) -> None:
    """SubmitFeedback and DeletePredictions reach the service."""
    service.scripts["SubmitFeedback"] = feedback_pb.SubmitFeedbackResponse(accepted_count=1)
    item = feedback_pb.Feedback(prediction_id="p", label_index=281)
    answer = await _feedback(gateway).SubmitFeedback(feedback_pb.SubmitFeedbackRequest(feedback=[item]))
    await _feedback(gateway).DeletePredictions(feedback_pb.DeletePredictionsRequest(prediction_ids=["p"]))

    assert (1, [item], ["p"]) == (
        answer.accepted_count,
        list(service.asked[0].request.feedback),
        list(service.asked[1].request.prediction_ids),
    )


async def test_the_callers_ids_and_patience_go_along(gateway: Gateway, service: FakeExperiments) -> None:
    """Request id, trace and what is left of the deadline reach the service."""
    trace = f"00-{'1' * 32}-{'2' * 16}-01"
    metadata = (("x-request-id", "order-7"), ("traceparent", trace))
    await _experiments(gateway).GetExperiment(pb.GetExperimentRequest(name="trial"), timeout=3, metadata=metadata)
    left_s = service.last.left_s

    assert ("order-7", trace) == tuple(service.last.metadata[name] for name in ("x-request-id", "traceparent"))
    assert left_s is not None
    assert 1 < left_s < 3.2  # gRPC rounds up


ERRORS: list[TriptychError] = [
    NotFound("There is no experiment 'trial'.", reason=Reason.EXPERIMENT_NOT_FOUND, field="name"),
    FailedPrecondition("It does not run.", field="name"),
    ResourceExhausted("There is no room.", reason=Reason.STORE_FULL, retry_after_s=5),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.reason.value)
async def test_an_error_comes_back_as_it_was_raised(
    gateway: Gateway, service: FakeExperiments, error: TriptychError
) -> None:
    """Code, reason, sentence, field and retry hint are the service's own."""
    service.scripts["StopExperiment"] = error
    got = await _failure(_experiments(gateway).StopExperiment(pb.StopExperimentRequest(name="trial")))
    trailing: Any = dict(got.trailing_metadata() or ())

    assert (error.code.name, error.message, error.reason.value, error.field) == (
        got.code().name,
        got.details(),
        reason_of(got),
        field_of(got),
    )
    assert (error.retry_after_s is not None) == ("grpc-retry-pushback-ms" in trailing)


async def test_a_service_that_is_away_is_told(gateway: Gateway, service: FakeExperiments) -> None:
    """Callers learn that it is away, and when to come back; once it is back, calls succeed."""
    await service.stop()
    request = pb.GetExperimentRequest(name="trial")
    got = await _failure(_experiments(gateway).GetExperiment(request))

    assert ("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", "1000") == (
        got.code().name,
        reason_of(got),
        dict(got.trailing_metadata() or ())["grpc-retry-pushback-ms"],
    )
    await service.start()

    async def back() -> bool:
        try:
            await _experiments(gateway).GetExperiment(request)
        except grpc.aio.AioRpcError:
            return False
        return True

    await eventually(back, 10)


async def test_without_the_service_all_is_refused(behind: Neighbours) -> None:
    """UNIMPLEMENTED, with a sentence that names the setting."""
    async with running_gateway(behind, serve_http=False) as gateway:
        got = await _failure(_experiments(gateway).ListExperiments(pb.ListExperimentsRequest()))
        exported = await _failure(_feedback(gateway).ExportFeedback(feedback_pb.ExportFeedbackRequest()).read())

    assert ("UNIMPLEMENTED", "EXPERIMENTS_OFF", True) == (
        got.code().name,
        reason_of(got),
        "TRIPTYCH_EXPERIMENTS_TARGET is not set" in (got.details() or ""),
    )
    assert grpc.StatusCode.UNIMPLEMENTED is exported.code()


async def test_nobody_may_change_what_the_operator_keeps(behind: Neighbours, service: FakeExperiments) -> None:
    """Without `experiments_admin` changes are PERMISSION_DENIED, and so is an export; reading and feedback go on."""
    target = service.target
    service.scripts["GetExperiment"] = pb.GetExperimentResponse(experiment=TRIAL)
    reads = {"GetExperiment", "ListExperiments", "GetVerdicts", "ListVerdicts", "ListDecisions"}
    forget = feedback_pb.DeletePredictionsRequest(prediction_ids=["p"])
    async with running_gateway(behind, serve_http=False, experiments_target=target, experiments_admin=False) as gateway:
        refused = {}
        for method, request in CALLS:
            if method in reads:
                await getattr(_experiments(gateway), method)(request)
            else:
                refused[method] = await _failure(getattr(_experiments(gateway), method)(request))
        refused["DeletePredictions"] = await _failure(_feedback(gateway).DeletePredictions(forget))
        await _feedback(gateway).SubmitFeedback(feedback_pb.SubmitFeedbackRequest())
        export = _feedback(gateway).ExportFeedback(feedback_pb.ExportFeedbackRequest())
        refused["ExportFeedback"] = await _failure(export.read())

    assert {(grpc.StatusCode.PERMISSION_DENIED, "EXPERIMENTS_OFF")} == {
        (got.code(), reason_of(got)) for got in refused.values()
    }
    assert 10 == len(refused)
    assert "TRIPTYCH_EXPERIMENTS_ADMIN is off" in (refused["PinVersion"].details() or "")
    assert {*reads, "SubmitFeedback"} == {each.method for each in service.asked}


@pytest.mark.parametrize(("admin", "told"), [(True, "s"), (False, "")])
async def test_salts_are_told_to_administrators(
    behind: Neighbours, service: FakeExperiments, *, admin: bool, told: str
) -> None:
    """Who knows a salt can choose the arm that answers."""
    salted = experiment("1", "2")
    salted.salt = "s"
    service.scripts["GetExperiment"] = pb.GetExperimentResponse(experiment=salted)
    service.scripts["ListExperiments"] = pb.ListExperimentsResponse(experiments=[salted])
    target = service.target
    async with running_gateway(behind, serve_http=False, experiments_target=target, experiments_admin=admin) as gateway:
        one = await _experiments(gateway).GetExperiment(pb.GetExperimentRequest(name="trial"))
        several = await _experiments(gateway).ListExperiments(pb.ListExperimentsRequest())

    assert {(told, "trial")} == {(each.salt, each.name) for each in (one.experiment, *several.experiments)}


async def test_nobody_is_an_annotator_who_is_no_administrator(behind: Neighbours, service: FakeExperiments) -> None:
    """An annotator's word goes above all others, so anybody's will not do; nothing is taken."""
    sources = (
        feedback_pb.FEEDBACK_SOURCE_USER,
        feedback_pb.FEEDBACK_SOURCE_SYSTEM,
        feedback_pb.FEEDBACK_SOURCE_ANNOTATOR,
    )
    said = [feedback_pb.Feedback(prediction_id="p", label="cat", source=each) for each in sources]
    request = feedback_pb.SubmitFeedbackRequest(feedback=said)
    target = service.target
    async with running_gateway(behind, serve_http=False, experiments_target=target, experiments_admin=False) as gateway:
        got = await _failure(_feedback(gateway).SubmitFeedback(request))

    assert (grpc.StatusCode.PERMISSION_DENIED, "feedback[2].source") == (got.code(), field_of(got))
    assert [] == service.asked


WITHOUT_EFFECT: list[tuple[str, str, str, Any]] = [
    ("EXPERIMENT_WITHOUT_EFFECT", "experiment.arms[1].version", "CreateExperiment", experiment("1", "3")),
    ("EXPERIMENT_WITHOUT_EFFECT", "experiment.arms[0].version", "CreateExperiment", experiment("3", "1")),
    ("EXPERIMENT_WITHOUT_EFFECT", "experiment.shadows[0].version", "CreateExperiment", experiment("1", shadow="3")),
    ("MODEL_VERSION_NOT_FOUND", "experiment.arms[1].version", "CreateExperiment", experiment("1", "9")),
    ("FIELD_INVALID", "experiment.arms[1].version", "CreateExperiment", experiment("1", "new")),
    ("MODEL_NOT_FOUND", "experiment.model", "CreateExperiment", experiment("1", "2", model="huge")),
    ("MODEL_NOT_READY", "", "CreateExperiment", experiment("1", "1", model="asleep")),
    ("EXPERIMENT_WITHOUT_EFFECT", "name", "StartExperiment", experiment("1", "3")),
    ("MODEL_VERSION_NOT_FOUND", "name", "StartExperiment", experiment("1", shadow="9")),
    ("MODEL_NOT_FOUND", "name", "StartExperiment", experiment("1", "2", model="huge")),
    ("EXPERIMENT_WITHOUT_EFFECT", "weights[b]", "SetWeights", experiment("1", "3")),
    ("MODEL_VERSION_NOT_FOUND", "weights[b]", "SetWeights", experiment("1", "9")),
    ("EXPERIMENT_WITHOUT_EFFECT", "arm", "PromoteArm", experiment("1", "3")),
    ("MODEL_VERSION_NOT_FOUND", "arm", "PromoteArm", experiment("1", "9")),
    ("EXPERIMENT_WITHOUT_EFFECT", "version", "PinVersion", ("other", "3")),
    ("MODEL_VERSION_NOT_FOUND", "version", "PinVersion", ("other", "9")),
    ("MODEL_NOT_FOUND", "model", "PinVersion", ("huge", "1")),
    ("MODEL_NOT_FOUND", "model", "PinVersion", ("huge", "")),
]


def _asking(method: str, about: Any) -> Any:
    if method == "CreateExperiment":
        return pb.CreateExperimentRequest(experiment=about, start=True)
    if method == "StartExperiment":
        return pb.StartExperimentRequest(name="trial")
    if method == "SetWeights":
        return pb.SetWeightsRequest(name="trial", weights={"a": 1, "b": 3})
    if method == "PromoteArm":
        return pb.PromoteArmRequest(name="trial", arm="b")
    return pb.PinVersionRequest(model=about[0], version=about[1])


@pytest.mark.parametrize(("reason", "field", "method", "about"), WITHOUT_EFFECT)
async def test_what_would_have_no_effect_is_refused(
    gateway: Gateway, service: FakeExperiments, reason: str, field: str, method: str, about: Any
) -> None:
    """A version that takes no requests, or is not there, is refused before the service hears of it."""
    if method in ("StartExperiment", "SetWeights", "PromoteArm"):
        service.scripts["GetExperiment"] = pb.GetExperimentResponse(experiment=about)
    got = await _failure(getattr(_experiments(gateway), method)(_asking(method, about)))

    assert (reason, field) == (reason_of(got), field_of(got))
    assert method not in {each.method for each in service.asked}


@pytest.mark.parametrize(
    ("method", "field"), [("CreateExperiment", "experiment.arms[1].version"), ("StartExperiment", "name")]
)
async def test_a_roll_back_must_not_lead_to_the_candidate(
    gateway: Gateway, service: FakeExperiments, method: str, field: str
) -> None:
    """The version that answers everybody, by its pin or as the default, can only be the control."""
    backwards, forwards = experiment("2", "1"), experiment("1", "2")
    service.scripts["GetExperiment"] = pb.GetExperimentResponse(experiment=backwards)
    by_default = await _failure(getattr(_experiments(gateway), method)(_asking(method, backwards)))
    service.routing.pins["other"] = "2"
    await getattr(_experiments(gateway), method)(_asking(method, backwards))
    service.scripts["GetExperiment"] = pb.GetExperimentResponse(experiment=forwards)
    by_pin = await _failure(getattr(_experiments(gateway), method)(_asking(method, forwards)))

    for got in (by_default, by_pin):
        assert ("EXPERIMENT_STATE", field) == (reason_of(got), field_of(got))
        assert "arms[1].version is" in (got.details() or "")
    assert 1 == [each.method for each in service.asked].count(method)


async def test_the_pin_of_a_model_that_is_gone_can_be_taken_back(gateway: Gateway, service: FakeExperiments) -> None:
    """Else it would be there for ever."""
    service.routing.pins["huge"] = "2"
    await _experiments(gateway).PinVersion(pb.PinVersionRequest(model="huge"))

    assert "PinVersion" == service.last.method


@pytest.mark.parametrize(("method", "field"), [("CreateExperiment", "experiment.shadows"), ("StartExperiment", "name")])
async def test_shadows_that_would_see_nothing_are_refused(
    behind: Neighbours, service: FakeExperiments, method: str, field: str
) -> None:
    """Where the gateway shows no request to any."""
    made = experiment("1", shadow="2")
    service.scripts["GetExperiment"] = pb.GetExperimentResponse(experiment=made)
    target = service.target
    async with running_gateway(behind, serve_http=False, experiments_target=target, max_shadows=0) as gateway:
        got = await _failure(getattr(_experiments(gateway), method)(_asking(method, made)))

    assert ("EXPERIMENT_WITHOUT_EFFECT", field) == (reason_of(got), field_of(got))
    assert "TRIPTYCH_MAX_SHADOWS of this gateway is 0" in (got.details() or "")


async def test_the_sentence_says_why(gateway: Gateway) -> None:
    """It names the arm, the version, and what the model servers say."""
    request = pb.CreateExperimentRequest(experiment=experiment("1", "3"), start=True)
    got = await _failure(_experiments(gateway).CreateExperiment(request))
    expected = (
        "The arm or shadow 'b' would have no effect: version 3 of the model 'other' takes no requests. "
        "No model server has loaded it."
    )

    assert ("INVALID_ARGUMENT", expected) == (got.code().name, got.details())


async def test_a_draft_may_wait_for_its_versions(gateway: Gateway, service: FakeExperiments) -> None:
    """Only a start needs versions that take requests."""
    request = pb.CreateExperimentRequest(experiment=experiment("1", "9", model="huge"))
    await _experiments(gateway).CreateExperiment(request)

    assert request == service.last.request


@pytest.mark.parametrize("method", ["StartExperiment", "SetWeights", "PromoteArm"])
async def test_an_experiment_that_is_not_there_cannot_be_checked(
    gateway: Gateway, service: FakeExperiments, method: str
) -> None:
    """The service's own word on it comes back."""
    service.scripts["GetExperiment"] = ERRORS[0]
    got = await _failure(getattr(_experiments(gateway), method)(_asking(method, None)))

    assert ("NOT_FOUND", "EXPERIMENT_NOT_FOUND", "name") == (got.code().name, reason_of(got), field_of(got))


async def test_an_arm_that_is_not_there_is_the_services_to_refuse(gateway: Gateway, service: FakeExperiments) -> None:
    """The gateway knows versions, not what experiments may be."""
    service.scripts["GetExperiment"] = pb.GetExperimentResponse(experiment=experiment("1", "3"))
    await _experiments(gateway).PromoteArm(pb.PromoteArmRequest(name="trial", arm="z"))

    assert "PromoteArm" == service.last.method


async def test_an_unknown_field_is_refused_where_it_stands(gateway: Gateway, service: FakeExperiments) -> None:
    """Also deep inside a request: the path says where."""
    arm = experiment("1", "2").arms[1].SerializeToString() + b"\xd8\x3e\x01"  # field 1003
    raw = b"\x0a" + bytes([2 + len(arm)]) + b"\x22" + bytes([len(arm)]) + arm
    call: Any = gateway.channel.unary_unary("/triptych.experiments.v1.ExperimentService/CreateExperiment")
    got = await _failure(call(raw))

    assert ("FIELD_UNKNOWN", "experiment.arms[0].1003") == (reason_of(got), field_of(got))
    assert [] == service.asked


async def test_an_export_is_a_stream(gateway: Gateway, service: FakeExperiments) -> None:
    """Answers come one by one, in order; the caller's id and deadline go along."""
    service.exported = [feedback_pb.ExportFeedbackResponse(prediction_id=letter) for letter in "abc"]
    request = feedback_pb.ExportFeedbackRequest(model="other", images=True)
    call = _feedback(gateway).ExportFeedback(request, timeout=9, metadata=(("x-request-id", "order-7"),))
    got = [each.prediction_id async for each in call]
    left_s = service.last.left_s

    assert (["a", "b", "c"], request, "order-7") == (got, service.last.request, service.last.metadata["x-request-id"])
    assert left_s is not None
    assert left_s < 9.2  # gRPC rounds up


async def test_an_export_that_fails_says_so(gateway: Gateway, service: FakeExperiments) -> None:
    """What came before arrives; then comes the service's error, and both are counted."""
    service.exported = [feedback_pb.ExportFeedbackResponse(prediction_id="a")]
    service.scripts["ExportFeedback"] = ERRORS[2]
    call = _feedback(gateway).ExportFeedback(feedback_pb.ExportFeedbackRequest())
    first = await call.read()
    got = await _failure(call.read())
    labels = {
        "grpc_type": "server_stream",
        "grpc_service": "triptych.experiments.v1.FeedbackService",
        "grpc_method": "ExportFeedback",
        "grpc_code": "RESOURCE_EXHAUSTED",
    }

    assert ("a", "STORE_FULL") == (first.prediction_id, reason_of(got))
    for side in ("server", "client"):
        assert 1.0 == gateway.registry.get_sample_value(f"grpc_{side}_handled_total", labels)


async def test_an_export_that_is_left_ends_at_the_service(gateway: Gateway, service: FakeExperiments) -> None:
    """A caller that leaves ends the call behind the gateway too."""
    service.exported = [feedback_pb.ExportFeedbackResponse(prediction_id="a", image=bytes(2**20))] * 10_000
    call = _feedback(gateway).ExportFeedback(feedback_pb.ExportFeedbackRequest())
    await call.read()
    call.cancel()
    labels = {
        "grpc_type": "server_stream",
        "grpc_service": "triptych.experiments.v1.FeedbackService",
        "grpc_method": "ExportFeedback",
        "grpc_code": "CANCELLED",
    }

    await eventually(lambda: gateway.registry.get_sample_value("grpc_client_handled_total", labels) == 1.0)


async def test_malformed_bytes_are_no_export(gateway: Gateway) -> None:
    """Bytes that are no request are the caller's fault in a stream of answers too."""
    call: Any = gateway.channel.unary_stream("/triptych.experiments.v1.FeedbackService/ExportFeedback")
    got = await _failure(call(b"\xff\xff\xff").read())

    assert ("INVALID_ARGUMENT", "REQUEST_MALFORMED") == (got.code().name, reason_of(got))
