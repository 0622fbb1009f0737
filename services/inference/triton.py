"""One Triton server, over one asyncio channel, in the Open Inference Protocol. The only module that speaks it."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from servicekit.channel import open_channel
from servicekit.errors import Code, Internal
from servicekit.manifest import Manifest
from services.inference.catalog import Loaded
from services.inference.statistics import Statistics, Times, Totals
from services.inference.triton_errors import classify

MIN_QUEUE_TIMEOUT_US = 1_000
STATISTICS_TIMEOUT_S = 0.05  # an answer never waits longer for a figure about it


@dataclass(frozen=True, slots=True)
class Logits:
    """Is Triton's answer to one request."""

    data: bytes
    """fp32, little-endian, row-major, `[rows, classes]`."""
    version: str
    times: Times
    """What requests to this version take inside Triton at the moment."""


class Triton:
    """Asks one Triton server."""

    def __init__(self, target: str, max_message_bytes: int) -> None:
        self.target = target
        self.in_flight = 0
        self._unanswered = 0
        self._statistics = Statistics()
        self.versions: dict[tuple[str, str], Loaded] = {}
        self._channel = open_channel(target, max_message_bytes=max_message_bytes)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close()

    async def infer(self, manifest: Manifest, version: str, rows: int, data: bytes, timeout_s: float) -> Logits:
        """Runs a model on `rows` inputs.

        Args:
            manifest: the model's.
            version: the version to run.
            rows: first dimension of the input.
            data: uint8, `[rows, height, width, 3]`.
            timeout_s: how long the caller waits; Triton drops the request from its queue after that.

        Raises:
            TriptychError: Triton refused or failed, or its answer is not what the manifest promises.
        """
        request = _request(manifest, version, rows, data, timeout_s)
        self.in_flight += 1
        try:
            response = await self._stub.ModelInfer(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise classify(Code(error.code().value[0]), error.details() or "") from None
        finally:
            self.in_flight -= 1
        data = _checked_logits(response, manifest, version, rows)
        return Logits(data, response.model_version, await self._times(manifest.name, version))

    async def _times(self, model: str, version: str) -> Times:
        times = self._statistics.times(model, version)
        if times is None:  # the first request of all
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._learn_times(STATISTICS_TIMEOUT_S)
            times = self._statistics.times(model, version)
        return times or Times(0.0, 0.0)

    async def _learn_times(self, timeout_s: float) -> None:
        answer = await self._stub.ModelStatistics(service_pb2.ModelStatisticsRequest(), timeout=timeout_s)
        for model in answer.model_stats:
            counted = model.inference_stats
            totals = Totals(counted.success.count, counted.queue.ns, counted.compute_infer.ns)
            self._statistics.update(model.name, model.version, totals)

    async def refresh(self, manifests: Mapping[str, Manifest], timeout_s: float) -> None:
        """Asks which published versions are ready, and reads the configuration of those that are new.

        It is the active probe too: Triton's health service has no Watch, and a connection proves nothing. It does
        without the repository index, which belongs to Triton's restricted, administrative calls.

        Raises:
            AioRpcError: the server did not answer.
        """
        keys = [(name, version) for name, manifest in manifests.items() for version in manifest.versions]
        try:
            ready = await asyncio.gather(*(self._is_ready(*key, timeout_s) for key in keys))
        except grpc.aio.AioRpcError as error:
            self._unanswered += 1
            # One late answer may be this process's own fault; a refused connection, or two in a row, is not.
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or self._unanswered > 1:
                self.versions = {}
            raise
        self._unanswered = 0
        known = {key: loaded for key, loaded in self.versions.items() if not loaded.problem}
        self.versions = {
            key: known.get(key) or await self._inspect(manifests[key[0]], key[1], timeout_s)
            for key, is_ready in zip(keys, ready, strict=True)
            if is_ready
        }
        await self._learn_times(timeout_s)

    async def _is_ready(self, model: str, version: str, timeout_s: float) -> bool:
        request = service_pb2.ModelReadyRequest(name=model, version=version)
        try:
            response = await self._stub.ModelReady(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
            return False  # a version that it does not know
        return bool(response.ready)

    async def _inspect(self, manifest: Manifest, version: str, timeout_s: float) -> Loaded:
        request = service_pb2.ModelConfigRequest(name=manifest.name, version=version)
        config = (await self._stub.ModelConfig(request, timeout=timeout_s)).config
        return Loaded(config.backend or config.platform, config.max_batch_size, _contradiction(manifest, config))


def _request(manifest: Manifest, version: str, rows: int, data: bytes, timeout_s: float) -> Any:
    recipe = manifest.input
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name=recipe.tensor, datatype="UINT8", shape=[rows, recipe.height, recipe.width, 3]
    )
    request = service_pb2.ModelInferRequest(
        model_name=manifest.name,
        model_version=version,
        inputs=[tensor],
        outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name=manifest.output.tensor)],
        raw_input_contents=[data],
    )
    request.parameters["timeout"].int64_param = max(MIN_QUEUE_TIMEOUT_US, round(timeout_s * 1e6))
    return request


def _checked_logits(response: Any, manifest: Manifest, version: str, rows: int) -> bytes:
    expected = [rows, manifest.output.classes]
    data = b""
    with contextlib.suppress(IndexError):
        data = response.raw_output_contents[0]
    outputs = response.outputs
    if (
        len(outputs) != 1
        or outputs[0].datatype != "FP32"
        or list(outputs[0].shape) != expected
        or len(data) != 4 * rows * expected[1]
    ):
        raise Internal("The model server answered with another tensor than the model's manifest promises.")
    if response.model_name != manifest.name or response.model_version != version:
        raise Internal("The model server answered with another model than it was asked for.")
    return data


def _contradiction(manifest: Manifest, config: Any) -> str:
    """Says where a model's configuration breaks its manifest; a tensor of the wrong shape must never become a label."""
    recipe, output = manifest.input, manifest.output
    inputs = [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in config.input]
    outputs = [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in config.output]
    if inputs != [(recipe.tensor, model_config_pb2.TYPE_UINT8, [recipe.height, recipe.width, 3])]:
        return "Its configuration has another input than its manifest."
    if outputs != [(output.tensor, model_config_pb2.TYPE_FP32, [output.classes])]:
        return "Its configuration has another output than its manifest."
    if config.max_batch_size < 1:
        return "Its configuration takes no batches."
    return ""
