"""The three services behind the gateway, at the wire: real servers with real health that answer as they are told.

They compute nothing: image i becomes row i, and its top label is the first byte of its content.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from fakes.repository import HEIGHT, WIDTH
from fakes.servers import link_target, settings
from prometheus_client import CollectorRegistry

from gateway.tiers import INFERENCE, POSTPROCESS, PREPROCESS
from servicekit.errors import TriptychError
from servicekit.health import Readiness
from servicekit.metrics import RpcMetrics
from servicekit.server import GrpcServer, background
from servicekit.service import Register
from servicekit.status import to_item
from servicekit.tracing import Tracer
from triptych.inference.v1 import inference_service_pb2 as inference_pb
from triptych.inference.v1 import inference_service_pb2_grpc as inference_grpc
from triptych.inference.v1 import model_pb2
from triptych.postprocess.v1 import postprocess_service_pb2 as postprocess_pb
from triptych.postprocess.v1 import postprocess_service_pb2_grpc as postprocess_grpc
from triptych.preprocess.v1 import preprocess_service_pb2 as preprocess_pb
from triptych.preprocess.v1 import preprocess_service_pb2_grpc as preprocess_grpc
from triptych.tensor.v1 import tensor_pb2

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[Any, Any], Awaitable[Any]]


async def honest(_request: Any, response: Any) -> Any:
    """Answers as asked."""
    return response


def raising(error: Exception) -> Answer:
    """Fails every call."""

    async def answer(_request: Any, _response: Any) -> Any:
        raise error

    return answer


def failing_item(index: int, error: TriptychError) -> Answer:
    """Fails one item of every call."""

    async def answer(_request: Any, response: Any) -> Any:
        response.outcomes[index].error.CopyFrom(to_item(error))
        for name in ("tensor", "logits"):
            if name in response.DESCRIPTOR.fields_by_name:
                _drop_row(getattr(response, name), index)
        return response

    return answer


def failing_rows(byte: bytes, error: TriptychError) -> Answer:
    """Fails every image that begins with a byte, whoever's it is and wherever in a message."""

    async def answer(request: Any, response: Any) -> Any:
        for index, each in reversed(list(enumerate(first_bytes(request)))):  # so that the rows before are still there
            if byte == bytes([each]):
                response = await failing_item(index, error)(request, response)
        return response

    return answer


def first_bytes(request: Any) -> bytes:
    """Returns the byte of each image of a message to any of the services."""
    if isinstance(request, preprocess_pb.PreprocessImagesRequest):
        return b"".join(image.content[:1] for image in request.images)
    tensor = request.tensor if isinstance(request, inference_pb.PredictLogitsRequest) else request.logits
    return bytes(tensor.data)


def _drop_row(tensor: tensor_pb2.Tensor, index: int) -> None:
    size = len(tensor.data) // tensor.shape[0]
    tensor.data = tensor.data[: index * size] + tensor.data[(index + 1) * size :]
    tensor.shape[0] -= 1


class Neighbour:
    """Is one service: it remembers what it was asked, and can be stopped and started again on its ports."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.readiness = Readiness()
        self.answer: Answer = honest
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.cancelled = 0
        self.port = self.link_port = 0
        self.tracer: Tracer | None = None
        self.linked = False
        """Whether it is to be reached over links."""
        self._stack = AsyncExitStack()

    def register(self) -> Register:
        """Returns what adds the service to a server."""
        raise NotImplementedError

    @property
    def target(self) -> str:
        """Says where it is."""
        return link_target(self.link_port) if self.linked else f"ipv4:127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listens, on the same ports as before if there were any."""
        server = GrpcServer(
            settings(port=self.port),
            [self.service],
            self.register(),
            metrics=RpcMetrics("server", CollectorRegistry()),
            tracer=self.tracer,
        )
        await server.start()
        await server.start_link(self.link_port)
        self.port, self.link_port = server.port, server.link_port
        self._stack.push_async_callback(server.drain)
        await self._stack.enter_async_context(background(server.follow(self.readiness)))

    async def stop(self) -> None:
        """Drains and ends."""
        await self._stack.aclose()

    async def respond(self, request: Any, response: Any, context: Context) -> Any:
        """Remembers a call and answers it."""
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        try:
            return await self.answer(request, response)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class FakePreprocess(Neighbour, preprocess_grpc.PreprocessServiceServicer):
    """Takes each image's first byte for its pixels."""

    def __init__(self) -> None:
        super().__init__(PREPROCESS)

    def register(self) -> Register:
        """Returns what adds the service to a server."""
        return lambda server: preprocess_grpc.add_PreprocessServiceServicer_to_server(self, server)

    async def PreprocessImages(  # noqa: N802 (the contract names it)
        self, request: preprocess_pb.PreprocessImagesRequest, context: Context
    ) -> preprocess_pb.PreprocessImagesResponse:
        """Answers with one byte per image."""
        image = preprocess_pb.PreprocessedImage(width_px=640, height_px=480, format="png", compute_ms=3)
        data = b"".join(image.content[:1] for image in request.images)
        response = preprocess_pb.PreprocessImagesResponse(
            tensor=tensor_pb2.Tensor(data_type=tensor_pb2.DATA_TYPE_UINT8, shape=[len(data)], data=data),
            outcomes=[preprocess_pb.PreprocessOutcome(image=image) for _ in request.images],
        )
        got: preprocess_pb.PreprocessImagesResponse = await self.respond(request, response, context)
        return got


class FakeInference(Neighbour, inference_grpc.InferenceServiceServicer):
    """Hands the tensor on as logits."""

    def __init__(self) -> None:
        super().__init__(INFERENCE)
        self.models = [model("tiny"), model("other", "1", "2")]

    def register(self) -> Register:
        """Returns what adds the service to a server."""
        return lambda server: inference_grpc.add_InferenceServiceServicer_to_server(self, server)

    async def PredictLogits(  # noqa: N802 (the contract names it)
        self, request: inference_pb.PredictLogitsRequest, context: Context
    ) -> inference_pb.PredictLogitsResponse:
        """Answers with the request's own tensor."""
        rows = request.tensor.shape[0]
        response = inference_pb.PredictLogitsResponse(
            logits=request.tensor,
            outcomes=[inference_pb.PredictOutcome(ok=inference_pb.PredictedRow()) for _ in range(rows)],
            model=request.model,
            version=request.version or "1",
            queue_ms=1,
            compute_ms=2,
        )
        got: inference_pb.PredictLogitsResponse = await self.respond(request, response, context)
        return got

    async def ListModels(  # noqa: N802 (the contract names it)
        self, request: inference_pb.ListModelsRequest, context: Context
    ) -> inference_pb.ListModelsResponse:
        """Lists two models."""
        return inference_pb.ListModelsResponse(models=self.models)

    async def GetModel(  # noqa: N802 (the contract names it)
        self, request: inference_pb.GetModelRequest, context: Context
    ) -> inference_pb.GetModelResponse:
        """Is not asked by the gateway."""
        raise NotImplementedError


class FakePostprocess(Neighbour, postprocess_grpc.PostprocessServiceServicer):
    """Makes each byte a label."""

    def __init__(self) -> None:
        super().__init__(POSTPROCESS)

    def register(self) -> Register:
        """Returns what adds the service to a server."""
        return lambda server: postprocess_grpc.add_PostprocessServiceServicer_to_server(self, server)

    async def RankLabels(  # noqa: N802 (the contract names it)
        self, request: postprocess_pb.RankLabelsRequest, context: Context
    ) -> postprocess_pb.RankLabelsResponse:
        """Answers with as many predictions as asked for, up to three."""
        response = postprocess_pb.RankLabelsResponse(
            outcomes=[
                postprocess_pb.RankOutcome(
                    ranking=postprocess_pb.Ranking(
                        predictions=[
                            postprocess_pb.Prediction(index=byte + place, label=chr(byte + place), score=0.5 / 2**place)
                            for place in range(min(3, options.top_k))
                        ]
                    )
                )
                for byte, options in zip(request.logits.data, request.options, strict=True)
            ]
        )
        got: postprocess_pb.RankLabelsResponse = await self.respond(request, response, context)
        return got


def model(name: str, *versions: str, state: model_pb2.ModelState = model_pb2.MODEL_STATE_READY) -> model_pb2.Model:
    """Describes a model as the inference service does."""
    ready = state == model_pb2.MODEL_STATE_READY
    return model_pb2.Model(
        name=name,
        title=name.title(),
        input_width_px=WIDTH,
        input_height_px=HEIGHT,
        class_count=256,
        max_batch_size=8,
        default_version=(versions or ("1",))[0] if ready else "",
        versions=[
            model_pb2.ModelVersion(
                version=version,
                state=state,
                detail="" if ready else "No model server has loaded it.",
                backend="openvino" if ready else "",
            )
            for version in versions or ("1",)
        ],
    )


class Neighbours:
    """Are the three services."""

    def __init__(self, *, linked: bool = False, tracer: Tracer | None = None) -> None:
        """Says whether they are to be reached over links, or over gRPC, and what begins their spans."""
        self.preprocess = FakePreprocess()
        self.inference = FakeInference()
        self.postprocess = FakePostprocess()
        for each in self.all:
            each.linked = linked
            each.tracer = tracer

    @property
    def all(self) -> tuple[Neighbour, Neighbour, Neighbour]:
        """Returns them in the order of the chain."""
        return self.preprocess, self.inference, self.postprocess

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Neighbours"]:
        """Runs them while the context is open."""
        for each in self.all:
            await each.start()
        try:
            yield self
        finally:
            await asyncio.gather(*(each.stop() for each in self.all))
