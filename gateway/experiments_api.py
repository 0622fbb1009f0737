"""The public API of experiments and feedback: checks what only a gateway can, and forwards the rest."""

from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from gateway.effect import (
    require_draft,
    require_model,
    require_promotion,
    require_requests,
    require_shadows,
    require_start,
    require_way_back,
    require_weights,
)
from gateway.forwarding import EXPERIMENTS, FEEDBACK, Forwarder, full_name, methods
from gateway.labels import add_unknown
from gateway.models import ModelDirectory
from gateway.requests import refuse_unknown_fields
from servicekit.errors import PermissionDenied, Unimplemented
from servicekit.parcel import method_codecs
from servicekit.settings import variable
from triptych.experiments.v1 import experiment_pb2
from triptych.experiments.v1 import experiment_service_pb2 as pb
from triptych.experiments.v1 import feedback_service_pb2 as feedback_pb

SERVICES = (EXPERIMENTS, FEEDBACK)

Context = grpc.aio.ServicerContext[Any, Any]


class ExperimentsApi:
    """Answers every method of both services, for callers of either transport."""

    def __init__(self, directory: ModelDirectory, forwarder: Forwarder | None, *, admin: bool, shadows: bool) -> None:
        """Wires the API.

        Args:
            directory: the models.
            forwarder: leads to the experiments service; None: there is none.
            admin: whether callers may change experiments, export feedback, delete predictions and be annotators.
            shadows: whether this gateway shows any request to shadows.
        """
        self._directory = directory
        self._forwarder = forwarder
        self._admin, self._shadows = admin, shadows
        self._refused = frozenset() if admin else frozenset(filter(None, map(_administers, methods())))

    async def answer(self, request: Message) -> Any:
        """Answers a request of any method whose answer is one message.

        Raises:
            Unimplemented: there is no experiments service.
            PermissionDenied: callers of this gateway may not ask for that.
            InvalidArgument: the request has fields that are not known, or would have no effect.
            TriptychError: whatever the experiments service answered.
        """
        forwarder = self._permitted(request)
        refuse_unknown_fields(request, "")
        await self._check(forwarder, request)
        answer = await forwarder.call(request)
        if isinstance(request, feedback_pb.SubmitFeedbackRequest):
            await add_unknown(self._directory, request.feedback, answer)
        if not self._admin:
            _keep_salts(answer)
        return answer

    async def answers(self, request: Message, timeout_s: float | None) -> AsyncIterator[Any]:
        """Answers a request of the method whose answer is a stream.

        Raises:
            TriptychError: as `answer`.
        """
        forwarder = self._permitted(request)
        refuse_unknown_fields(request, "")
        async for response in forwarder.stream(request, timeout_s):
            yield response

    def register(self, server: Any) -> None:
        """Adds both services to a gRPC server, as generated code would."""
        for service in SERVICES:
            handlers = {
                each.name: self._handler(each) for each in methods() if each.containing_service.full_name == service
            }
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
            server.add_registered_method_handlers(service, handlers)

    def _handler(self, method: MethodDescriptor) -> Any:
        request, response = method_codecs(full_name(method))
        codec = {"request_deserializer": request.decode, "response_serializer": response.encode}

        async def unary(request: Message, _context: Context) -> Any:
            return await self.answer(request)

        async def stream(request: Message, context: Context) -> AsyncIterator[Any]:
            # None without a deadline, whatever the stub says.
            timeout_s = cast("float | None", context.time_remaining())
            async for response in self.answers(request, timeout_s):
                yield response

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, **codec)
        return grpc.unary_unary_rpc_method_handler(unary, **codec)

    def _permitted(self, request: Message) -> Forwarder:
        if self._forwarder is None:
            setting = variable("experiments_target")
            raise Unimplemented(f"There are no experiments here, and nobody takes feedback: {setting} is not set.")
        if request.DESCRIPTOR.full_name in self._refused:
            what = "change experiments, pins or the holdout, export feedback, or delete predictions"
            raise PermissionDenied(f"This gateway lets nobody {what}: {variable('experiments_admin')} is off.")
        return self._forwarder

    async def _check(self, forwarder: Forwarder, request: Message) -> None:
        match request:
            case feedback_pb.SubmitFeedbackRequest() if not self._admin:
                _refuse_annotators(request)
            case pb.CreateExperimentRequest(start=True):
                require_draft(self._directory, request.experiment)
                require_shadows(request.experiment, at="experiment.shadows", shown=self._shadows)
                await self._check_way_back(forwarder, request.experiment, "experiment.{place}")
            case pb.StartExperimentRequest():
                draft = await _stored(forwarder, request.name)
                require_start(self._directory, draft)
                require_shadows(draft, at="name", shown=self._shadows)
                await self._check_way_back(forwarder, draft, "name")
            case pb.SetWeightsRequest():
                require_weights(self._directory, await _stored(forwarder, request.name), request.weights)
            case pb.PromoteArmRequest():
                require_promotion(self._directory, await _stored(forwarder, request.name), request.arm)
            case pb.PinVersionRequest(version=""):
                require_model(self._directory, request.model, await forwarder.pins())
            case pb.PinVersionRequest():
                model, version = request.model, request.version
                require_requests(self._directory, model, version, what="The pin", paths=("model", "version"))

    async def _check_way_back(self, forwarder: Forwarder, experiment: experiment_pb2.Experiment, at: str) -> None:
        pinned = (await forwarder.pins()).get(experiment.model, "")
        require_way_back(experiment, pinned or self._directory.default_version(experiment.model), at=at)


async def _stored(forwarder: Forwarder, name: str) -> experiment_pb2.Experiment:
    response: pb.GetExperimentResponse = await forwarder.call(pb.GetExperimentRequest(name=name))
    return response.experiment


def _administers(method: MethodDescriptor) -> str | None:
    """Returns the type of a method's request if it changes more than feedback adds, or tells others' pictures."""
    reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    anybody = method.name == "SubmitFeedback" or (reads and method.name != "ExportFeedback")
    return None if anybody else method.input_type.full_name


def _keep_salts(answer: Message) -> None:
    """Takes the salts out of an answer: whoever knows one can choose a key that is dealt the arm of their liking."""
    if isinstance(answer, pb.GetExperimentResponse):
        answer.experiment.ClearField("salt")
    if isinstance(answer, pb.ListExperimentsResponse):
        for experiment in answer.experiments:
            experiment.ClearField("salt")


def _refuse_annotators(request: feedback_pb.SubmitFeedbackRequest) -> None:
    for index, feedback in enumerate(request.feedback):
        if feedback.source == feedback_pb.FEEDBACK_SOURCE_ANNOTATOR:
            path = f"feedback[{index}].source"
            message = (
                f"{path} must not be annotator here, whose word goes above all others: "
                f"{variable('experiments_admin')} of this gateway is off."
            )
            raise PermissionDenied(message, field=path)
