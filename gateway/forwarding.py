"""The experiments service as the gateway calls it on behalf of callers: any method, found by its request."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from servicekit import context
from servicekit.metrics import RpcMetrics
from servicekit.remote import RemoteMethod, RemoteStream
from triptych.experiments.v1 import evidence_service_pb2, experiment_service_pb2, feedback_service_pb2

EXPERIMENTS = "triptych.experiments.v1.ExperimentService"
FEEDBACK = "triptych.experiments.v1.FeedbackService"
ROUTING = "/triptych.experiments.v1.EvidenceService/GetRouting"
NEIGHBOUR = "experiments"
"""What errors call the service."""


def methods() -> Iterator[MethodDescriptor]:
    """Returns the methods of both public services; every one has a request of its own type."""
    files = (experiment_service_pb2.DESCRIPTOR, feedback_service_pb2.DESCRIPTOR)
    for service in (each for file in files for each in file.services_by_name.values()):
        yield from service.methods


def full_name(method: MethodDescriptor) -> str:
    """Returns a method's name on the wire."""
    return f"/{method.containing_service.full_name}/{method.name}"


class Forwarder:
    """Passes requests on, with the caller's ids and what is left of its time."""

    def __init__(self, channel: grpc.aio.Channel, metrics: RpcMetrics) -> None:
        """Binds the methods to the channel that leads to the service."""
        self._unary: dict[str, RemoteMethod[Any, Any]] = {}
        self._streams: dict[str, RemoteStream[Any, Any]] = {}
        for method in methods():
            asked = method.input_type.full_name
            if method.server_streaming:
                self._streams[asked] = RemoteStream(NEIGHBOUR, full_name(method), channel, metrics)
            else:
                self._unary[asked] = RemoteMethod(NEIGHBOUR, full_name(method), channel, metrics)
        self._routing: RemoteMethod[evidence_service_pb2.GetRoutingRequest, evidence_service_pb2.GetRoutingResponse]
        self._routing = RemoteMethod(NEIGHBOUR, ROUTING, channel, metrics)

    async def call(self, request: Message) -> Any:
        """Returns the answer.

        Raises:
            TriptychError: whatever the service answered, as it is; Unavailable when it cannot be reached.
        """
        return await self._unary[request.DESCRIPTOR.full_name](request, context.time_left_s())

    async def pins(self) -> Mapping[str, str]:
        """Returns the version that answers requests which name none, of each model of which one is pinned: as of now.

        Raises:
            TriptychError: as `call`.
        """
        return (await self._routing(evidence_service_pb2.GetRoutingRequest(), context.time_left_s())).pins

    def stream(self, request: Message, timeout_s: float | None) -> AsyncIterator[Any]:
        """Returns the answers, as they come.

        Raises:
            TriptychError: the same.
        """
        return self._streams[request.DESCRIPTOR.full_name](request, timeout_s)
