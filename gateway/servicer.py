"""gRPC adapter of the gateway."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from gateway.classifier import Classifier
from gateway.models import ModelDirectory
from gateway.requests import Call, check_request, refuse_unknown_fields
from gateway.stream import answer_newest
from servicekit.errors import InvalidArgument
from servicekit.tracing import Tracer
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc

SERVICE = "triptych.classification.v1.ClassificationService"

Context = grpc.aio.ServicerContext[Any, Any]

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


class ClassificationServicer(pb_grpc.ClassificationServiceServicer):
    """Serves the public API."""

    def __init__(
        self,
        classifier: Classifier,
        directory: ModelDirectory,
        frame_timeout_s: float,
        draining: asyncio.Event,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._draining = draining
        self._classifier = classifier
        self._directory = directory
        self._frame_timeout_s = frame_timeout_s

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        """Classifies images."""

        async def parse() -> Call:
            return check_request(request, self._classifier.limits)

        return pb.ClassifyResponse(results=await self._classifier.classify("grpc", parse))

    async def ClassifyStream(
        self, request_iterator: AsyncIterator[pb.ClassifyStreamRequest], context: Context
    ) -> AsyncIterator[pb.ClassifyStreamResponse]:
        """Classifies a video, the newest frame first."""
        frames = answer_newest(request_iterator, self._classifier, self._frame_timeout_s, self._draining, self._tracer)
        async for response in frames:
            yield response

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """Lists the models, a page at a time; the token is the name of the last one shown."""
        refuse_unknown_fields(request, "")
        if not 0 <= request.page_size <= MAX_PAGE_SIZE:
            message = f"page_size must be 0 to {MAX_PAGE_SIZE}; it is {request.page_size}."
            raise InvalidArgument(message, field="page_size")
        size = request.page_size or DEFAULT_PAGE_SIZE
        models = [model for model in self._directory.describe() if model.name > request.page_token]
        return pb.ListModelsResponse(
            models=models[:size], next_page_token=models[size - 1].name if len(models) > size else ""
        )

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        """Describes one model."""
        refuse_unknown_fields(request, "")
        return pb.GetModelResponse(model=self._directory.find(request.model))
