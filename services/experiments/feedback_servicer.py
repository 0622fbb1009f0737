"""gRPC adapter of feedback."""

# ruff: noqa: ARG002, N802 (names and arguments are the contract's)

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc

from services.experiments.database import Database
from services.experiments.export import message_of, place_of, read_classes, read_image, read_page
from services.experiments.feedback_checks import check_export
from services.experiments.intake import Intake
from services.experiments.threads import Threads
from triptych.experiments.v1 import feedback_service_pb2 as pb
from triptych.experiments.v1 import feedback_service_pb2_grpc as pb_grpc

Context = grpc.aio.ServicerContext[Any, Any]
T = TypeVar("T")


class FeedbackServicer(pb_grpc.FeedbackServiceServicer):
    """Takes labels and gives them back with what they are about."""

    def __init__(self, intake: Intake, database: Database, threads: Threads) -> None:
        self._intake = intake
        self._database = database
        self._threads = threads

    async def SubmitFeedback(self, request: pb.SubmitFeedbackRequest, context: Context) -> pb.SubmitFeedbackResponse:
        """Takes labels."""
        return pb.SubmitFeedbackResponse(accepted_count=await self._intake.submit(request))

    async def DeletePredictions(
        self, request: pb.DeletePredictionsRequest, context: Context
    ) -> pb.DeletePredictionsResponse:
        """Takes the wish that predictions be forgotten."""
        await self._intake.forget(request)
        return pb.DeletePredictionsResponse()

    async def ExportFeedback(
        self, request: pb.ExportFeedbackRequest, context: Context
    ) -> AsyncIterator[pb.ExportFeedbackResponse]:
        """Sends one prediction after the other; no transaction stays open while the caller reads."""
        check_export(request)
        classes = await self._read(read_classes, request.model)
        page = await self._read(read_page, request, None)
        while page:
            for row in page:
                message = message_of(row, classes)
                if request.images:
                    message.image = await self._read(read_image, row.prediction_id)
                yield message
            page = await self._read(read_page, request, place_of(page[-1]))

    async def _read(self, function: Callable[..., T], *arguments: object) -> T:
        def read() -> T:
            with self._database.connect() as connection:
                return function(connection, *arguments)

        return await self._threads.run(read)
