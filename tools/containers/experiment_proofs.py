"""What is shown of experiments and feedback in the running project, a function for each."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import grpc

from tools.containers.project import STOP_TIMEOUT_S, Project, ProofError, until
from tools.containers.scene import LABEL, MODEL, best_label, classify, expect_label
from triptych.experiments.v1.feedback_service_pb2 import ExportFeedbackRequest
from triptych.experiments.v1.feedback_service_pb2_grpc import FeedbackServiceStub

SERVICE = "experiments"
KEYS = [f"key-{number}" for number in range(24)]
"""So many that all of them are dealt one of two arms once in eight million times."""
HEARD_S = 2
"""Within which gateways know of a change."""


def feedback(project: Project) -> None:
    """Feedback that was acknowledged outlives the service, killed at once, and its container, removed."""
    prediction = str(classify(project)["prediction_id"])
    give(project, prediction)
    (container,) = project.containers(SERVICE)
    project.kill(container)
    project.engine("rm", "--force", container)
    project.scale(SERVICE, 1)
    project.wait_until_healthy(SERVICE)
    until(lambda: exported(project, prediction) == [LABEL], f"{prediction} has its label", 30)


def dealing(project: Project) -> None:
    """An experiment that is started over HTTP deals requests to both arms within two seconds, each key to one."""
    arms = [{"name": name, "version": version, "weight": 1} for name, version in (("one", "1"), ("two", "2"))]
    experiment = {"name": "containers", "model": MODEL, "arms": arms}
    post(project, "experiments", {"experiment": experiment, "start": True})
    try:
        until(lambda: arm(project, KEYS[0]) != "", "the gateway deals requests to the arms", HEARD_S)
        dealt = {key: {arm(project, key) for _ in range(2)} for key in KEYS}
        if any(len(arms) > 1 for arms in dealt.values()) or set().union(*dealt.values()) != {"one", "two"}:
            raise ProofError(f"keys are dealt {dealt}")
    finally:
        post(project, f"experiments/{experiment['name']}/stop", {})
    until(lambda: arm(project, KEYS[0]) == "", "the experiment is over for the gateway, too", HEARD_S)


def outage(project: Project) -> None:
    """Without the experiments service requests are answered all the same, and feedback is refused until it is back."""
    (container,) = project.containers(SERVICE)
    prediction = str(classify(project)["prediction_id"])
    project.engine("stop", "--time", str(STOP_TIMEOUT_S), container)
    try:
        expect_label(best_label(project))
        if taken(project, prediction):
            raise ProofError("feedback is taken, though nobody is there to keep it")
    finally:
        project.engine("start", container)
    project.wait_until_healthy(SERVICE)
    until(lambda: taken(project, prediction), "feedback is taken again", 30)


def apart(project: Project) -> None:
    """The service that keeps what callers said reaches neither the other services nor the outside."""
    (container,) = project.containers(SERVICE)
    if reached := project.reaches(container, "preprocess", "inference", "postprocess", "triton"):
        raise ProofError(f"{SERVICE} reaches {reached}")


def arm(project: Project, key: str) -> str:
    """Returns the arm that a request of this key is dealt; nothing outside of experiments."""
    return str(classify(project, {"x-route-key": key}).get("arm") or "")


def give(project: Project, prediction: str) -> None:
    """Says that the photograph shows what it shows."""
    post(project, "feedback", {"prediction_id": prediction, "label": LABEL, "source": "annotator"})


def taken(project: Project, prediction: str) -> bool:
    """Says whether feedback is acknowledged at the moment.

    Raises:
        HTTPError: it is refused for another reason than that the service is away.
    """
    try:
        give(project, prediction)
    except HTTPError as error:
        if error.code != 503:
            raise
        return False
    return True


def exported(project: Project, prediction: str) -> list[str]:
    """Returns the labels of a prediction, as the gateway hands them out; none while they cannot be had."""
    with grpc.insecure_channel(project.address(8081)) as channel:
        try:
            rows = list(FeedbackServiceStub(channel).ExportFeedback(ExportFeedbackRequest(), timeout=10))
        except grpc.RpcError:
            return []
    return [row.label for row in rows if row.prediction_id == prediction]


def post(project: Project, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Sends JSON to the HTTP API and returns its answer.

    Raises:
        HTTPError: it refuses.
    """
    url = f"http://{project.address(8080)}/api/v1/{path}"
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=20) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
        return answer


EXPERIMENT_PROOFS = (apart, feedback, dealing, outage)
