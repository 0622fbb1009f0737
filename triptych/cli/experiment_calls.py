"""The calls of ExperimentService that commands make. What changes something is sent once: it might be done twice."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from triptych.experiments.v1 import experiment_service_pb2 as pb
from triptych.experiments.v1.experiment_service_pb2_grpc import ExperimentServiceStub

if TYPE_CHECKING:
    import grpc

    from triptych.client.line import Line
    from triptych.experiments.v1.experiment_pb2 import Decision, Experiment, Verdict

Q = TypeVar("Q")
A = TypeVar("A")
PAGE_SIZE = 1000


class Experiments:
    """Calls the service over a line; every call raises ClassifyError where it fails."""

    def __init__(self, line: "Line", timeout_s: float, actor: str = "") -> None:
        self._line = line
        self._timeout_s = timeout_s
        self._actor = actor
        self._stub = ExperimentServiceStub(line.channel)

    def create(self, experiment: "Experiment", *, start: bool) -> "Experiment":
        """Makes one."""
        request = pb.CreateExperimentRequest(experiment=experiment, start=start, actor=self._actor)
        return self._change(self._stub.CreateExperiment, request).experiment

    def start(self, name: str, reason: str) -> "Experiment":
        """Lets requests take part."""
        request = pb.StartExperimentRequest(name=name, actor=self._actor, reason=reason)
        return self._change(self._stub.StartExperiment, request).experiment

    def set_weights(self, name: str, weights: dict[str, float], reason: str, *, anew: bool) -> "Experiment":
        """Changes the weights of arms, or begins evidence anew with the same ones."""
        request = pb.SetWeightsRequest(name=name, weights=weights, actor=self._actor, reason=reason, anew=anew)
        return self._change(self._stub.SetWeights, request).experiment

    def stop(self, name: str, reason: str) -> "Experiment":
        """Ends one."""
        request = pb.StopExperimentRequest(name=name, actor=self._actor, reason=reason)
        return self._change(self._stub.StopExperiment, request).experiment

    def promote(self, name: str, arm: str, reason: str) -> "Experiment":
        """Ends one in favour of an arm or shadow."""
        request = pb.PromoteArmRequest(name=name, arm=arm, actor=self._actor, reason=reason)
        return self._change(self._stub.PromoteArm, request).experiment

    def delete(self, name: str) -> None:
        """Throws a draft away."""
        self._change(self._stub.DeleteExperiment, pb.DeleteExperimentRequest(name=name, actor=self._actor))

    def pin(self, model: str, version: str, reason: str) -> None:
        """Says which version answers requests that name none; empty gives the choice back."""
        request = pb.PinVersionRequest(model=model, version=version, actor=self._actor, reason=reason)
        self._change(self._stub.PinVersion, request)

    def set_holdout(self, share: float, reason: str) -> None:
        """Keeps a part of all keys out of every experiment."""
        self._change(self._stub.SetHoldout, pb.SetHoldoutRequest(share=share, actor=self._actor, reason=reason))

    def get(self, name: str) -> "Experiment":
        """Returns one."""
        return self._ask(self._stub.GetExperiment, pb.GetExperimentRequest(name=name)).experiment

    def all(self, model: str, *, running: bool) -> "Iterator[Experiment]":
        """Returns all of them, the newest first."""
        request = pb.ListExperimentsRequest(page_size=PAGE_SIZE, model=model, running=running)
        for page in self._pages(self._stub.ListExperiments, request):
            yield from page.experiments

    def verdicts(self, name: str) -> "list[Verdict]":
        """Returns what the facts say now."""
        return list(self._ask(self._stub.GetVerdicts, pb.GetVerdictsRequest(name=name)).verdicts)

    def history(self, name: str) -> "list[Verdict]":
        """Returns what they said in the course of time, oldest first."""
        return list(self._ask(self._stub.ListVerdicts, pb.ListVerdictsRequest(name=name)).verdicts)

    def last_decisions(self, name: str, count: int) -> "list[Decision]":
        """Returns what was done last, the newest first."""
        request = pb.ListDecisionsRequest(name=name, page_size=count)
        return list(self._ask(self._stub.ListDecisions, request).decisions)

    def decisions(self, name: str) -> "Iterator[Decision]":
        """Returns everything that was done, the newest first."""
        request = pb.ListDecisionsRequest(name=name, page_size=PAGE_SIZE)
        for page in self._pages(self._stub.ListDecisions, request):
            yield from page.decisions

    def _ask(self, method: "grpc.UnaryUnaryMultiCallable[Q, A]", request: Q) -> A:
        return self._line.call(method, request, self._timeout_s)

    def _change(self, method: "grpc.UnaryUnaryMultiCallable[Q, A]", request: Q) -> A:
        return self._line.call(method, request, self._timeout_s, repeatable=False)

    def _pages(self, method: Any, request: Any) -> Iterator[Any]:
        while True:
            page = self._ask(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
