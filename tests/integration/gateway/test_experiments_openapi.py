"""What /openapi.json says of experiments and feedback, against what is served, read and sent."""

import re
import shlex
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours, model
from fakes.scripted_experiments import FakeExperiments, experiment, running_experiments
from pydantic import BaseModel, TypeAdapter

from gateway.http import experiment_schemas as schemas
from gateway.http.methods import METHODS
from triptych.experiments.v1 import experiment_pb2
from triptych.experiments.v1 import experiment_service_pb2 as pb
from triptych.experiments.v1 import feedback_service_pb2 as feedback_pb


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway whose models are those of the examples, in front of a scripted experiments service."""
    neighbours = Neighbours()
    neighbours.inference.models = [model("efficientnet_lite0", "1", "2")]
    async with (
        neighbours.running() as behind,
        running_experiments() as service,
        running_gateway(behind, experiments_target=service.target, default_model="efficientnet_lite0") as running,
    ):
        _script(service)
        yield running


def _script(service: FakeExperiments) -> None:
    made = experiment("1", "2", model="efficientnet_lite0", shadow="2")
    made.arms[1].name = "int8"
    made.state = experiment_pb2.EXPERIMENT_STATE_RUNNING
    made.rules.alpha, made.ramp.min_keys, made.ramp.hold_s = 0.05, 100, 600
    made.ramp.steps.append(0.5)
    made.audience.headers["x-country"] = "at"
    for name in ("CreateExperiment", "GetExperiment", "StartExperiment", "SetWeights", "StopExperiment", "PromoteArm"):
        response: Any = getattr(pb, f"{name}Response")
        service.scripts[name] = response(experiment=made)
    service.scripts["ListExperiments"] = pb.ListExperimentsResponse(experiments=[made])
    verdict = experiment_pb2.Verdict(candidate="int8", findings=[experiment_pb2.Finding(metric="failures")])
    verdict.time.GetCurrentTime()
    service.scripts["GetVerdicts"] = pb.GetVerdictsResponse(verdicts=[verdict])
    service.scripts["ListVerdicts"] = pb.ListVerdictsResponse(verdicts=[verdict])
    service.scripts["ListDecisions"] = pb.ListDecisionsResponse(decisions=[experiment_pb2.Decision(id=7)])
    service.scripts["SubmitFeedback"] = feedback_pb.SubmitFeedbackResponse(accepted_count=1)


@pytest.fixture
async def document(gateway: Gateway) -> Any:
    """The served description."""
    return (await gateway.client.get("/openapi.json")).json()


def _operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            if operation["tags"][0] in ("experiments", "feedback"):
                yield verb.upper(), path, operation


def _place(path: str) -> str:
    return path.format(name="trial", model="efficientnet_lite0", prediction_id="p")


async def test_every_example_works(gateway: Gateway, document: Any) -> None:
    """What /docs offers to try is answered, and the answer has the documented shape and no other."""
    kinds: dict[str, Any] = {each.about["operation_id"]: each.about["responses"][200]["model"] for each in METHODS} | {
        "submit_feedback": schemas.Accepted,
        "delete_prediction": schemas.Done,
    }
    tried = 0
    for verb, path, operation in _operations(document):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        examples = [each["value"] for each in content.get("examples", {}).values()] or [content.get("example")]
        for example in examples:
            response = await gateway.client.request(verb, _place(path), json=example)
            answer = response.json()
            tried += 1

            assert 200 == response.status_code, (verb, path, answer)
            read = TypeAdapter(kinds[operation["operationId"]]).validate_python(answer, extra="forbid")
            assert answer == read.model_dump(exclude_unset=True), (verb, path)

    assert 18 == tried


async def test_every_status_has_an_example_of_itself(document: Any) -> None:
    """Documented failures carry their own status."""
    for verb, path, operation in _operations(document):
        codes = {
            status: response["content"]["application/json"]["example"]["error"]["code"]
            for status, response in operation["responses"].items()
            if status not in ("200", "default")
        }

        assert {str(code): code for code in codes.values()} == codes, (verb, path)
        assert {501, 503} <= set(codes.values())


async def test_every_option_is_documented(document: Any) -> None:
    """Path, query and body have the fields of the method's request, and no other."""
    operations = {operation["operationId"]: operation for _, _, operation in _operations(document)}
    for method in METHODS:
        operation = operations[method.about["operation_id"]]
        told = {each["name"] for each in operation["parameters"] if each["in"] != "header"}
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})

        assert {*told, *body.get("properties", {})} == set(method.request.DESCRIPTOR.fields_by_name), method.path


SHAPES: list[tuple[type[BaseModel], Any]] = [
    (schemas.Arm, experiment_pb2.Arm.DESCRIPTOR),
    (schemas.Shadow, experiment_pb2.Shadow.DESCRIPTOR),
    (schemas.Audience, experiment_pb2.Audience.DESCRIPTOR),
    (schemas.Rules, experiment_pb2.Rules.DESCRIPTOR),
    (schemas.Ramp, experiment_pb2.Ramp.DESCRIPTOR),
    (schemas.Experiment, experiment_pb2.Experiment.DESCRIPTOR),
    (schemas.Finding, experiment_pb2.Finding.DESCRIPTOR),
    (schemas.Verdict, experiment_pb2.Verdict.DESCRIPTOR),
    (schemas.Decision, experiment_pb2.Decision.DESCRIPTOR),
    (schemas.FeedbackItem, feedback_pb.Feedback.DESCRIPTOR),
    (schemas.FeedbackBatch, feedback_pb.SubmitFeedbackRequest.DESCRIPTOR),
    (schemas.CreateBody, pb.CreateExperimentRequest.DESCRIPTOR),
]


@pytest.mark.parametrize(
    ("schema", "descriptor"), SHAPES, ids=lambda each: each.__name__ if isinstance(each, type) else ""
)
def test_a_shape_is_the_contracts(schema: type[BaseModel], descriptor: Any) -> None:
    """Documented shapes have the fields of the message, and no other."""
    assert set(descriptor.fields_by_name) == set(schema.model_fields)


def _curls() -> list[list[str]]:
    """Returns the arguments of every curl in the examples of docs/api.md."""
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page.replace("\\\n", ""), re.DOTALL)
    return [
        shlex.split(each)[1:] for block in blocks for each in re.findall(r"^curl .*?(?=^curl |\Z)", block, re.M | re.S)
    ]


@pytest.mark.parametrize("arguments", _curls(), ids=lambda each: next(word for word in each if "localhost" in word))
async def test_the_pages_examples_work(gateway: Gateway, arguments: list[str]) -> None:
    """Every curl of docs/api.md is answered 200."""
    left = iter(arguments)
    verb, path, headers, content = "", "", {}, None
    for word in left:
        if word == "-H":
            name, _, value = next(left).partition(": ")
            headers[name] = value
        elif word == "-X":
            verb = next(left)
        elif word in ("-d", "--data-binary"):
            text = next(left)
            content = b"a" if text.startswith("@") else text.encode()
        else:
            path = word.removeprefix("localhost:8080")
    response = await gateway.client.request(
        verb or ("POST" if content else "GET"), path, headers=headers, content=content
    )

    assert 200 == response.status_code, response.text
