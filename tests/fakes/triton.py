"""A Triton server at the wire, for faults that the real one does not produce on demand.

It fakes four calls of the Open Inference Protocol (ModelReady, ModelConfig, ModelStatistics, ModelInfer) and nothing
else: no queue, no batching, no health. Logits are the first bytes of each input row as numbers, so that every row can
be told apart. The error texts are Triton's own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from servicekit.manifest import Manifest

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[Any, Any, Context], Awaitable[Any]]

QUEUE_FULL = "[request id: <id_unknown>] Exceeds maximum queue size"
QUEUE_TIMEOUT = "Request timeout expired"
RESTRICTED = "This protocol is restricted, expecting header 'triton-grpc-protocol-admin'"
DEAD_STUB = "Stub process 'tiny_0_1' is not healthy."
NOT_AT_READY = "Request for unknown model: 'tiny' version 1 is not at ready state"
NO_VERSIONS = "Request for unknown model: 'tiny' has no available versions"
STOPPING = "Server is stopping, scheduler for model has stopped accepting new inference requests"
UNKNOWN_MODEL = "Request for unknown model: 'tiny' is not found"


async def honest(_request: Any, response: Any, _context: Context) -> Any:
    """Answers as asked."""
    return response


def refusing(code: grpc.StatusCode, text: str) -> Answer:
    """Refuses every request."""

    async def answer(_request: Any, _response: Any, context: Context) -> Any:
        await context.abort(code, text)

    return answer


def slow(seconds: float) -> Answer:
    """Answers late."""

    async def answer(_request: Any, response: Any, _context: Context) -> Any:
        await asyncio.sleep(seconds)
        return response

    return answer


def changed(change: Callable[[Any], None]) -> Answer:
    """Spoils every answer."""

    async def answer(_request: Any, response: Any, _context: Context) -> Any:
        change(response)
        return response

    return answer


def nan_row(row: int) -> Answer:
    """Answers with a row that is not a number."""

    def change(response: Any) -> None:
        logits = np.frombuffer(response.raw_output_contents[0], "<f4").reshape(*response.outputs[0].shape).copy()
        logits[row, 0] = np.nan
        response.raw_output_contents[0] = logits.tobytes()

    return changed(change)


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # tritonclient has no types
    """Remembers what it was asked, and answers as it is told to."""

    def __init__(self, *manifests: Manifest, max_batch_size: int = 4) -> None:
        self.manifests = {manifest.name: manifest for manifest in manifests}
        self.loaded = {(name, version) for name, each in self.manifests.items() for version in each.versions}
        self.max_batch_size = max_batch_size
        self.output_classes: int | None = None
        """What its configurations say instead of the manifest's number of classes."""
        self.answer: Answer = honest
        self.hung = False
        """Whether it takes calls and never answers, as a stopped process does."""
        self.instances = 1
        """Instances of each model in its configuration."""
        self.unready_s = 0.0
        """How long it takes to say what is ready."""
        self.without_statistics = False
        """Whether it never answers when asked for its statistics."""
        self.examinations: list[Any] = []
        """Test inferences, which count neither as requests nor among the deadlines."""
        self.fails_others = False
        """Whether its statistics show another failure of somebody else at each look."""
        self.succeeded = 0
        self.failed = 0
        self.requests: list[Any] = []
        self.deadlines_s: list[float] = []
        self.traceparents: list[str | bytes | None] = []
        """What each request brought of a trace; the real one would trace every request that brings one."""
        self.cancelled = 0
        self.port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def target(self) -> str:
        """Returns its gRPC name."""
        return f"127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeTriton"]:
        """Listens while the context is open."""
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        """Listens, on the same port as before if there was one."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Ends at once, as a killed process does."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def _hang(self) -> None:
        if self.hung:
            await asyncio.Event().wait()

    async def ModelReady(self, request: Any, context: Context) -> Any:  # noqa: N802 (the protocol's name)
        """Says whether a version is loaded."""
        await self._hang()
        await asyncio.sleep(self.unready_s)
        if request.name not in self.manifests:
            await context.abort(grpc.StatusCode.NOT_FOUND, UNKNOWN_MODEL)
        return service_pb2.ModelReadyResponse(ready=(request.name, request.version) in self.loaded)

    async def ModelConfig(self, request: Any, context: Context) -> Any:  # noqa: N802 (the protocol's name)
        """Describes a model as its manifest does."""
        await self._hang()
        manifest = self.manifests[request.name]
        recipe, output = manifest.input, manifest.output
        config = model_config_pb2.ModelConfig(
            name=manifest.name,
            backend="openvino",
            max_batch_size=self.max_batch_size,
            instance_group=[model_config_pb2.ModelInstanceGroup(count=self.instances)],
            input=[
                model_config_pb2.ModelInput(
                    name=recipe.tensor,
                    data_type=model_config_pb2.TYPE_UINT8,
                    dims=[recipe.height, recipe.width, 3],
                )
            ],
            output=[
                model_config_pb2.ModelOutput(
                    name=output.tensor,
                    data_type=model_config_pb2.TYPE_FP32,
                    dims=[self.output_classes or output.classes],
                )
            ],
        )
        return service_pb2.ModelConfigResponse(config=config)

    async def ModelStatistics(self, request: Any, context: Context) -> Any:  # noqa: N802 (the protocol's name)
        """Says that every request that succeeded so far was computed in 2 ms."""
        await self._hang()
        if self.without_statistics:
            await asyncio.Event().wait()
        self.failed += self.fails_others
        statistics = service_pb2.ModelStatisticsResponse()
        for name, version in self.loaded:
            model = statistics.model_stats.add(name=name, version=version)
            model.inference_stats.success.count = self.succeeded
            model.inference_stats.fail.count = self.failed
            model.inference_stats.queue.ns = 1_000_000 * self.succeeded
            model.inference_stats.compute_infer.ns = 2_000_000 * self.succeeded
        return statistics

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802 (the protocol's name)
        """Answers with the first bytes of every row."""
        if request.id == "examination":
            self.examinations.append(request)
        else:
            self.requests.append(request)
            self.deadlines_s.append(context.time_remaining())
            self.traceparents.append(dict(context.invocation_metadata() or ()).get("traceparent"))
        try:
            await self._hang()
            response = await self.answer(request, self._response(request), context)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        except grpc.aio.AbortError:
            self.failed += 1
            raise
        self.succeeded += 1
        return response

    def _response(self, request: Any) -> Any:
        manifest = self.manifests[request.model_name]
        rows = request.inputs[0].shape[0]
        pixels = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(rows, -1)
        logits = pixels[:, : manifest.output.classes].astype("<f4")
        return service_pb2.ModelInferResponse(
            model_name=request.model_name,
            model_version=request.model_version,
            outputs=[
                service_pb2.ModelInferResponse.InferOutputTensor(
                    name=manifest.output.tensor, datatype="FP32", shape=logits.shape
                )
            ],
            raw_output_contents=[logits.tobytes()],
        )
