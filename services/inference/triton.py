"""One Triton server, over one asyncio channel. With `triton_messages`, all that speaks its protocol."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from tritonclient.grpc import service_pb2, service_pb2_grpc

from servicekit import context, tracing
from servicekit.channel import open_channel
from servicekit.errors import Code, ResourceExhausted, TriptychError
from servicekit.manifest import Manifest
from servicekit.metrics import client_metrics, method_labels
from servicekit.parcel import Parcel, Piece
from servicekit.spans import Kind
from servicekit.tls import Tls
from servicekit.tracing import rpc_attributes
from services.inference.catalog import READY, Loaded
from services.inference.failures import Throttle
from services.inference.statistics import Statistics, Times, Totals
from services.inference.triton_errors import classify
from services.inference.triton_messages import INPUTS, OUTPUTS, checked_logits, contradiction, inference_request

log = structlog.get_logger()

Key = tuple[str, str]
"""Model and version."""

LEFT_TO_END_S = 10.0
"""How much longer than anybody waits a request may take. Triton 2.51 can crash when a call is cancelled, or its gRPC
deadline passes, just as it completes. So what is given up is left to end: from its queue Triton drops a request by the
timeout in it, and what it computes already it would compute all the same."""
EXAMINATION_TIMEOUT_S = 10.0
"""For a configuration, and for each test inference; Triton tells a dead stub after one second."""
EXAMINATION_ID = "examination"
"""Tells test inferences apart in Triton's log."""
_MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
STATISTICS_TIMEOUT_S = 0.05  # an answer never waits longer for a figure about it


@dataclass(frozen=True, slots=True)
class Logits:
    """Is Triton's answer to one request."""

    data: Piece
    """fp32, little-endian, row-major, `[rows, classes]`."""
    times: Times
    """What requests to this version take inside Triton at the moment."""


class Triton:
    """Asks one Triton server."""

    def __init__(
        self, target: str, max_message_bytes: int, tls: Tls | None = None, server_name: str | None = None
    ) -> None:
        """Opens a channel; `tls` and `server_name` are those of `open_channel`."""
        self.target = target
        self.in_flight = 0
        self._unanswered = 0
        self._sent: set[asyncio.Task[Any]] = set()
        self._statistics = Statistics()
        self._throttle = Throttle()
        self._examinations: dict[Key, asyncio.Task[Loaded]] = {}
        self.versions: dict[Key, Loaded] = {}
        self._channel = open_channel(target, max_message_bytes=max_message_bytes, tls=tls, server_name=server_name)
        self._attributes = rpc_attributes(_MODEL_INFER, None) | {"server.address": target}
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._model_infer: Any = self._channel.unary_unary(
            _MODEL_INFER, request_serializer=INPUTS.encode, response_deserializer=OUTPUTS.decode
        )
        self._metrics = client_metrics().method(method_labels(_MODEL_INFER))

    async def close(self) -> None:
        """Closes the channel."""
        self.forget_all()
        await self._channel.close()

    async def infer(
        self, manifest: Manifest, version: str, rows: int, pieces: Sequence[Piece], timeout_s: float
    ) -> Logits:
        """Runs a model on `rows` inputs.

        Args:
            manifest: the model's.
            version: the version to run.
            rows: first dimension of the input.
            pieces: uint8, `[rows, height, width, 3]` when joined.
            timeout_s: how long the caller waits; Triton drops the request from its queue after that.

        Raises:
            TriptychError: Triton refused or failed, or its answer is not what the manifest promises.
        """
        request = Parcel(inference_request(manifest, version, rows, timeout_s), pieces)
        answer = await self._infer(manifest, version, request, timeout_s)
        return Logits(answer, await self._times(manifest.name, version))

    async def _infer(self, manifest: Manifest, version: str, request: Parcel[Any], timeout_s: float) -> Piece:
        rows = request.message.inputs[0].shape[0]
        with tracing.call(self._attributes, Kind.CLIENT) as span:
            metadata = None
            if span is not None:
                span.attributes |= {"triptych.model": manifest.name, "triptych.version": version}
                span.attributes["triptych.images"] = rows
                # Only now: Triton traces every request that comes with a trace, whatever its flag says.
                metadata = ((context.TRACEPARENT, span.traceparent),)
            response = await self._asked(manifest, version, request, timeout_s, metadata)
            return checked_logits(response, manifest, version, rows)

    async def _asked(
        self, manifest: Manifest, version: str, request: Parcel[Any], timeout_s: float, metadata: Any
    ) -> Parcel[Any]:
        try:
            answer: Parcel[Any] = await self._counted(request, timeout_s, metadata)
        except TimeoutError:
            raise classify(Code.DEADLINE_EXCEEDED, "") from None
        except grpc.aio.AioRpcError as error:
            self._log_refusal(manifest.name, version, error)
            raise classify(Code(error.code().value[0]), error.details() or "") from None
        return answer

    async def _counted(self, request: Parcel[Any], timeout_s: float, metadata: Any) -> Any:
        self._metrics.begin(timeout_s)
        self._metrics.sent.inc()
        start = time.perf_counter()
        code = Code.CANCELLED.name
        try:
            async with asyncio.timeout(timeout_s):
                response = await asyncio.shield(self._send(request, timeout_s, metadata))
            code = "OK"
            self._metrics.received.inc()
        except TimeoutError:
            code = Code.DEADLINE_EXCEEDED.name
            raise
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            raise
        finally:
            self._metrics.end(code, time.perf_counter() - start)
        return response

    def _send(self, request: Parcel[Any], timeout_s: float, metadata: Any) -> asyncio.Task[Any]:
        """Sends a request, which is in flight until Triton has answered, whoever still waits."""
        self.in_flight += 1
        task = asyncio.create_task(self._ended(request, timeout_s + LEFT_TO_END_S, metadata))
        self._sent.add(task)
        task.add_done_callback(self._note_end)
        return task

    async def _ended(self, request: Parcel[Any], timeout_s: float, metadata: Any) -> Any:
        return await self._model_infer(request, timeout=timeout_s, metadata=metadata)

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        self.in_flight -= 1
        self._sent.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, as nobody may wait for it any more

    def _log_refusal(self, model: str, version: str, error: grpc.aio.AioRpcError) -> None:
        """Keeps Triton's own words, which callers never see, for whoever has to find the cause."""
        code = error.code().name
        held_back = self._throttle.admit((model, version, code))
        if held_back is not None:
            log.warning(
                "triton refused",
                server=self.target,
                model=model,
                version=version,
                code=code,
                text=error.details(),
                held_back=held_back,
            )

    async def _times(self, model: str, version: str) -> Times:
        times = self._statistics.times(model, version)
        if times is None:  # the first request of all
            await self._learn(STATISTICS_TIMEOUT_S)
            times = self._statistics.times(model, version)
        return times or Times(0.0, 0.0)

    async def _learn(self, timeout_s: float) -> set[Key]:
        """Reads the statistics, and returns the versions whose requests only failed since the last time.

        Without an answer it knows nothing new: no figure is worth more than what it is about.
        """
        try:
            answer = await self._stub.ModelStatistics(service_pb2.ModelStatisticsRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return set()
        return {(model.name, model.version) for model in answer.model_stats if self._only_fails(model)}

    def _only_fails(self, model: Any) -> bool:
        counted = model.inference_stats
        totals = Totals(counted.success.count, counted.queue.ns, counted.compute_infer.ns, counted.fail.count)
        return self._statistics.update(model.name, model.version, totals)

    async def refresh(self, manifests: Mapping[str, Manifest], timeout_s: float) -> None:
        """Asks which published versions are ready, and examines those that are new or suspect.

        It is the active probe too: Triton's health service has no Watch, and a connection proves nothing. It does
        without the repository index, which belongs to Triton's restricted, administrative calls.

        It takes about `timeout_s` at most. A version that takes longer to examine stays unready, or as it was, until
        a later call finds the examination done.

        Raises:
            AioRpcError: the server did not answer.
        """
        began = time.monotonic()
        keys = [(name, version) for name, manifest in manifests.items() for version in manifest.versions]
        ready, suspects = await asyncio.gather(self._ready(keys, timeout_s), self._learn(timeout_s))
        for key in {*self.versions, *self._examinations} - ready:
            self.forget(*key)
        await self._examine(manifests, ready, suspects, timeout_s - (time.monotonic() - began))

    async def _ready(self, keys: Sequence[Key], timeout_s: float) -> set[Key]:
        try:
            answers = await asyncio.gather(*(self._is_ready(*key, timeout_s) for key in keys))
        except grpc.aio.AioRpcError as error:
            self._unanswered += 1
            # One late answer may be this process's own fault; a refused connection, or two in a row, is not.
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED or self._unanswered > 1:
                self.forget_all()
            raise
        self._unanswered = 0
        return {key for key, is_ready in zip(keys, answers, strict=True) if is_ready}

    async def _is_ready(self, model: str, version: str, timeout_s: float) -> bool:
        request = service_pb2.ModelReadyRequest(name=model, version=version)
        try:
            response = await self._stub.ModelReady(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
            return False  # a version that it does not know
        return bool(response.ready)

    def examines(self, model: str, version: str) -> bool:
        """Says whether a version is being examined."""
        return (model, version) in self._examinations

    def forget(self, model: str, version: str) -> None:
        """Takes a version out of use until an examination that begins after now has passed."""
        self.versions.pop((model, version), None)
        if examination := self._examinations.pop((model, version), None):
            examination.cancel()

    def forget_all(self) -> None:
        """Takes every version out of use, as `forget` does."""
        for key in [*self.versions, *self._examinations]:
            self.forget(*key)

    async def _examine(
        self, manifests: Mapping[str, Manifest], ready: set[Key], suspects: set[Key], timeout_s: float
    ) -> None:
        """Examines each version that is new, had a problem or is suspect; all at the same time, in the background."""
        usable = {key for key, loaded in self.versions.items() if not loaded.problem}
        for key in ready - (usable - suspects) - self._examinations.keys():
            self._examinations[key] = asyncio.create_task(self._examination(manifests[key[0]], key[1]))
        if self._examinations:
            await asyncio.wait(self._examinations.values(), timeout=max(0.0, timeout_s))
        for key, examination in list(self._examinations.items()):
            if examination.done():
                del self._examinations[key]
                self.versions[key] = examination.result()

    async def _examination(self, manifest: Manifest, version: str) -> Loaded:
        request = service_pb2.ModelConfigRequest(name=manifest.name, version=version)
        try:
            answer = await self._stub.ModelConfig(request, timeout=EXAMINATION_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return Loaded("", 0, 0, "It does not tell its configuration.")
        config = answer.config
        instances = max(1, sum(group.count for group in config.instance_group))
        # Idle instances take turns, so that twice as many inferences in a row meet each of them.
        problem = contradiction(manifest, config) or await self._try(manifest, version, 2 * instances)
        return Loaded(config.backend or config.platform, config.max_batch_size, instances, problem)

    async def _try(self, manifest: Manifest, version: str, times: int) -> str:
        """Has a version infer an empty picture, and says what is wrong: Triton calls one ready whose stub has died."""
        empty = bytes(manifest.input.height * manifest.input.width * 3)
        request = Parcel(inference_request(manifest, version, 1, EXAMINATION_TIMEOUT_S), [empty])
        request.message.id = EXAMINATION_ID
        try:
            for _ in range(times):
                await self._infer(manifest, version, request, EXAMINATION_TIMEOUT_S)
        except ResourceExhausted:
            return READY  # a queue that is full moves
        except TriptychError as error:
            return f"It failed a test inference: {error.message}"
        return READY
