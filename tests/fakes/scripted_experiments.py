"""The experiments service behind the gateway, at the wire: a real server that answers as it is told.

It keeps nothing, checks nothing and knows no experiment: a method without a script answers with an empty message.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from fakes.neighbours import Context, Neighbour
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from servicekit.service import Register
from triptych.experiments.v1 import (
    evidence_service_pb2,
    experiment_pb2,
    experiment_service_pb2,
    feedback_service_pb2,
)

EXPERIMENTS = "triptych.experiments.v1.ExperimentService"
Script = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True)
class Asked:
    """Is one call that came."""

    method: str
    request: Any
    metadata: dict[str, Any]
    left_s: float | None
    """What was left of the caller's time."""


class FakeExperiments(Neighbour):
    """Serves both public services, and says to gateways that nothing runs, and what is pinned."""

    def __init__(self) -> None:
        super().__init__(EXPERIMENTS)
        self.asked: list[Asked] = []
        self.scripts: dict[str, Message | Exception | Script] = {}
        """By method: its answer, what it fails with, or what makes its answer."""
        self.routing = evidence_service_pb2.GetRoutingResponse()
        self.exported: Sequence[feedback_service_pb2.ExportFeedbackResponse] = ()
        """Before `ExportFeedback` fails with its script, if it has one."""

    @property
    def last(self) -> Asked:
        """Returns the last call."""
        return self.asked[-1]

    def register(self) -> Register:
        """Returns what adds the services to a server."""
        return self._register

    def _register(self, server: Any) -> None:
        for file in (
            experiment_service_pb2.DESCRIPTOR,
            feedback_service_pb2.DESCRIPTOR,
            evidence_service_pb2.DESCRIPTOR,
        ):
            for service in file.services_by_name.values():
                handlers = {method.name: self._handler(method) for method in service.methods}
                server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

    def _handler(self, method: MethodDescriptor) -> Any:
        kinds: Any = [message_factory.GetMessageClass(each) for each in (method.input_type, method.output_type)]
        codec = {"request_deserializer": kinds[0].FromString, "response_serializer": kinds[1].SerializeToString}

        async def answer(request: Any, context: Context) -> Any:
            if method.containing_service.name == "EvidenceService":  # the gateway's own calls
                return self.routing if method.name == "GetRouting" else kinds[1]()
            return await self._answer(method.name, request, context) or kinds[1]()

        async def export(request: Any, context: Context) -> AsyncIterator[Any]:
            for each in self.exported:
                yield each
            await self._answer(method.name, request, context)

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(export, **codec)
        return grpc.unary_unary_rpc_method_handler(answer, **codec)

    async def _answer(self, method: str, request: Any, context: Context) -> Any:
        metadata = dict(context.invocation_metadata() or ())
        self.asked.append(Asked(method, request, metadata, context.time_remaining()))
        script = self.scripts.get(method)
        if isinstance(script, Exception):
            raise script
        return await script(request) if callable(script) else script


@asynccontextmanager
async def running_experiments() -> AsyncIterator[FakeExperiments]:
    """Runs the service while the context is open."""
    service = FakeExperiments()
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


def experiment(*versions: str, model: str = "other", shadow: str = "") -> experiment_pb2.Experiment:
    """Returns an experiment whose arms `a`, `b` and so on have these versions, perhaps with a shadow `s`."""
    made = experiment_pb2.Experiment(name="trial", model=model)
    for letter, version in zip("abcdefgh", versions, strict=False):
        made.arms.add(name=letter, version=version, weight=1)
    if shadow:
        made.shadows.add(name="s", version=shadow, share=1)
    return made
