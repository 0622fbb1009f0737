"""A gateway that keeps experiments and feedback in memory, for tests of the client and of the command line.

It is a fake at the wire: a real gRPC server that speaks ExperimentService and FeedbackService. It does what it is asked
without checking it, judges nothing (tests set `verdicts` and `history`), answers pages of two, counts feedback and does
not apply it, exports what tests put into `rows`, and fails as `script` says. It remembers the requests.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import any_pb2, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from triptych.experiments.v1 import experiment_pb2 as types
from triptych.experiments.v1 import experiment_service_pb2 as pb
from triptych.experiments.v1 import feedback_service_pb2 as feedback_pb
from triptych.experiments.v1.experiment_service_pb2_grpc import (
    ExperimentServiceServicer,
    add_ExperimentServiceServicer_to_server,
)
from triptych.experiments.v1.feedback_service_pb2_grpc import (
    FeedbackServiceServicer,
    add_FeedbackServiceServicer_to_server,
)

Context = grpc.ServicerContext
BEGAN_S = 1_790_000_000
PAGE = 2


def failure(code: grpc.StatusCode, message: str = "As scripted.") -> status_pb2.Status:
    """Returns a status as the gateway sends it."""
    info, detail = error_details_pb2.ErrorInfo(reason="SCRIPTED", domain="triptych"), any_pb2.Any()
    detail.Pack(info)
    return status_pb2.Status(code=code.value[0], message=message, details=[detail])


def at(seconds: float) -> timestamp_pb2.Timestamp:
    """Returns a time so many seconds after everything began."""
    time = timestamp_pb2.Timestamp()
    time.FromMicroseconds(round((BEGAN_S + seconds) * 1e6))
    return time


class FakeExperiments(ExperimentServiceServicer, FeedbackServiceServicer):
    """Keeps experiments; the newest comes last."""

    def __init__(self) -> None:
        self.experiments: dict[str, types.Experiment] = {}
        self.decisions: list[types.Decision] = []
        self.verdicts: list[types.Verdict] = []
        self.history: list[types.Verdict] = []
        self.pins: dict[str, str] = {}
        self.holdout = 0.0
        self.rows: list[feedback_pb.ExportFeedbackResponse] = []
        self.breaks_after: int | None = None
        """Rows after which an export fails."""
        self.forgotten: list[str] = []
        self.unknown_labels: list[str] = []
        """What the answer to any feedback says of it."""
        self.script: list[status_pb2.Status | None] = []
        """How the next requests fail; None: they do not."""
        self.requests: list[Any] = []
        self.port = 0

    @property
    def address(self) -> str:
        """Returns where it listens."""
        return f"127.0.0.1:{self.port}"

    def decide(self, experiment: str, action: str, actor: str, reason: str = "") -> None:
        """Writes an entry of the log."""
        number = len(self.decisions) + 1
        self.decisions.append(
            types.Decision(id=number, time=at(number), experiment=experiment, action=action, actor=actor, reason=reason)
        )

    def _note(self, request: Any, context: Context) -> None:
        self.requests.append(request)
        status = self.script.pop(0) if self.script else None
        if status is not None:
            context.abort_with_status(rpc_status.to_status(status))

    def _of(self, name: str, context: Context) -> types.Experiment:
        if name not in self.experiments:
            status = failure(grpc.StatusCode.NOT_FOUND, f"There is no experiment {name!r}.")
            context.abort_with_status(rpc_status.to_status(status))
        return self.experiments[name]

    def _start(self, experiment: types.Experiment) -> None:
        ramps = bool(experiment.ramp.steps)
        experiment.state = types.EXPERIMENT_STATE_RAMPING if ramps else types.EXPERIMENT_STATE_RUNNING
        experiment.epoch = 1
        experiment.start_time.CopyFrom(at(1))

    def CreateExperiment(self, request: Any, context: Context) -> pb.CreateExperimentResponse:  # noqa: N802
        """Makes one."""
        self._note(request, context)
        made = types.Experiment()
        made.CopyFrom(request.experiment)
        made.state = types.EXPERIMENT_STATE_DRAFT
        made.create_time.CopyFrom(at(0))
        self.experiments[made.name] = made
        self.decide(made.name, "create", request.actor)
        if request.start:
            self._start(made)
            self.decide(made.name, "start", request.actor)
        return pb.CreateExperimentResponse(experiment=made)

    def GetExperiment(self, request: Any, context: Context) -> pb.GetExperimentResponse:  # noqa: N802
        """Returns one."""
        self._note(request, context)
        return pb.GetExperimentResponse(experiment=self._of(request.name, context))

    def ListExperiments(self, request: Any, context: Context) -> pb.ListExperimentsResponse:  # noqa: N802
        """Returns pages of two."""
        self._note(request, context)
        found = [each for each in reversed(self.experiments.values()) if request.model in ("", each.model)]
        begin = int(request.page_token or 0)
        token = str(begin + PAGE) if begin + PAGE < len(found) else ""
        return pb.ListExperimentsResponse(experiments=found[begin : begin + PAGE], next_page_token=token)

    def StartExperiment(self, request: Any, context: Context) -> pb.StartExperimentResponse:  # noqa: N802
        """Starts one."""
        self._note(request, context)
        experiment = self._of(request.name, context)
        self._start(experiment)
        self.decide(request.name, "start", request.actor, request.reason)
        return pb.StartExperimentResponse(experiment=experiment)

    def SetWeights(self, request: Any, context: Context) -> pb.SetWeightsResponse:  # noqa: N802
        """Sets all weights."""
        self._note(request, context)
        experiment = self._of(request.name, context)
        for arm in experiment.arms:
            arm.weight = request.weights.get(arm.name, arm.weight)
        experiment.epoch += 1
        self.decide(request.name, "weights", request.actor, request.reason)
        return pb.SetWeightsResponse(experiment=experiment)

    def end(self, name: str, state: "types.ExperimentState", action: str, actor: str, reason: str) -> types.Experiment:
        """Ends one, as a rule or a person does."""
        experiment = self.experiments[name]
        experiment.state = state
        experiment.detail = reason
        experiment.end_time.CopyFrom(at(3600))
        self.decide(name, action, actor, reason)
        return experiment

    def StopExperiment(self, request: Any, context: Context) -> pb.StopExperimentResponse:  # noqa: N802
        """Stops one."""
        self._note(request, context)
        self._of(request.name, context)
        state = types.EXPERIMENT_STATE_STOPPED
        return pb.StopExperimentResponse(
            experiment=self.end(request.name, state, "stop", request.actor, request.reason)
        )

    def PromoteArm(self, request: Any, context: Context) -> pb.PromoteArmResponse:  # noqa: N802
        """Concludes one."""
        self._note(request, context)
        self._of(request.name, context)
        state = types.EXPERIMENT_STATE_CONCLUDED
        return pb.PromoteArmResponse(experiment=self.end(request.name, state, "promote", request.actor, request.reason))

    def DeleteExperiment(self, request: Any, context: Context) -> pb.DeleteExperimentResponse:  # noqa: N802
        """Forgets one."""
        self._note(request, context)
        self._of(request.name, context)
        del self.experiments[request.name]
        return pb.DeleteExperimentResponse()

    def GetVerdicts(self, request: Any, context: Context) -> pb.GetVerdictsResponse:  # noqa: N802
        """Returns what the test set."""
        self._note(request, context)
        return pb.GetVerdictsResponse(verdicts=self.verdicts)

    def ListVerdicts(self, request: Any, context: Context) -> pb.ListVerdictsResponse:  # noqa: N802
        """Returns what the test set."""
        self._note(request, context)
        return pb.ListVerdictsResponse(verdicts=self.history)

    def ListDecisions(self, request: Any, context: Context) -> pb.ListDecisionsResponse:  # noqa: N802
        """Returns pages of as many as asked for, two at most where all are wanted."""
        self._note(request, context)
        found = [each for each in reversed(self.decisions) if request.name in ("", each.experiment)]
        begin, size = int(request.page_token or 0), PAGE if request.page_size == 1000 else request.page_size
        token = str(begin + size) if begin + size < len(found) else ""
        return pb.ListDecisionsResponse(decisions=found[begin : begin + size], next_page_token=token)

    def PinVersion(self, request: Any, context: Context) -> pb.PinVersionResponse:  # noqa: N802
        """Remembers a pin."""
        self._note(request, context)
        self.pins[request.model] = request.version
        return pb.PinVersionResponse()

    def SetHoldout(self, request: Any, context: Context) -> pb.SetHoldoutResponse:  # noqa: N802
        """Remembers the holdout."""
        self._note(request, context)
        self.holdout = request.share
        return pb.SetHoldoutResponse()

    def SubmitFeedback(self, request: Any, context: Context) -> feedback_pb.SubmitFeedbackResponse:  # noqa: N802
        """Takes everything."""
        self._note(request, context)
        count, told = len(self.unknown_labels), self.unknown_labels
        return feedback_pb.SubmitFeedbackResponse(
            accepted_count=len(request.feedback), unknown_label_count=count, unknown_labels=told
        )

    def ExportFeedback(self, request: Any, context: Context) -> Iterator[feedback_pb.ExportFeedbackResponse]:  # noqa: N802
        """Returns the rows."""
        self._note(request, context)
        for number, row in enumerate(self.rows):
            if number == self.breaks_after:
                context.abort_with_status(rpc_status.to_status(failure(grpc.StatusCode.UNAVAILABLE)))
            yield row

    def DeletePredictions(self, request: Any, context: Context) -> feedback_pb.DeletePredictionsResponse:  # noqa: N802
        """Remembers which."""
        self._note(request, context)
        self.forgotten += request.prediction_ids
        return feedback_pb.DeletePredictionsResponse()


@contextmanager
def serving_experiments() -> Iterator[FakeExperiments]:
    """Serves the fake on a free port while the context is open."""
    fake = FakeExperiments()
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        add_ExperimentServiceServicer_to_server(fake, server)
        add_FeedbackServiceServicer_to_server(fake, server)
        fake.port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield fake
        finally:
            server.stop(None).wait()
