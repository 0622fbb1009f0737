"""A server of the public API that does what a test scripts, to test what servicekit puts around every handler."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from servicekit.service import Register
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc

SERVICE = "triptych.classification.v1.ClassificationService"
CLASSIFY = f"/{SERVICE}/Classify"
STREAM = f"/{SERVICE}/ClassifyStream"

Context = grpc.aio.ServicerContext[Any, Any]
Script = Callable[[pb.ClassifyRequest, Context], Awaitable[pb.ClassifyResponse]]


async def empty(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
    """Answers with nothing."""
    return pb.ClassifyResponse()


class ScriptedService(pb_grpc.ClassificationServiceServicer):
    """Runs a script for every call, and counts them."""

    def __init__(self, script: Script = empty) -> None:
        self.script = script
        self.calls = 0

    @property
    def register(self) -> Register:
        """Returns what adds this service to a server."""
        return lambda server: pb_grpc.add_ClassificationServiceServicer_to_server(self, server)

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:  # noqa: N802 (the contract names it)
        """Runs the script."""
        self.calls += 1
        return await self.script(request, context)

    async def ClassifyStream(  # noqa: N802 (the contract names it)
        self, request_iterator: AsyncIterator[pb.ClassifyStreamRequest], context: Context
    ) -> AsyncIterator[pb.ClassifyStreamResponse]:
        """Runs the script for every frame and answers with its number."""
        async for frame in request_iterator:
            await self.script(pb.ClassifyRequest(images=[frame.image]), context)
            yield pb.ClassifyStreamResponse(frame=frame.frame)

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: N802 (the contract names it)
        """Is not scripted."""
        return pb.ListModelsResponse()

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:  # noqa: N802 (the contract names it)
        """Is not scripted."""
        return pb.GetModelResponse()


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Returns the reason in an error's ErrorInfo; empty without one."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status else ():
        detail.Unpack(info)
    return str(info.reason)


def field_of(error: grpc.aio.AioRpcError) -> str:
    """Returns the path of the field that an error blames; empty without one."""
    status = rpc_status.from_call(error)
    bad = error_details_pb2.BadRequest()
    for detail in status.details if status else ():
        detail.Unpack(bad)
    return bad.field_violations[0].field if bad.field_violations else ""
