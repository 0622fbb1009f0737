"""The inference service over a real server, in front of Triton servers that fail on demand."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from fakes.repository import CLASSES, HEIGHT, LABELS, ROW_BYTES, WIDTH, manifest, write_model
from fakes.scripted import field_of, reason_of
from fakes.servers import connected, eventually, running_server
from fakes.tensors import decode, encode
from fakes.triton import (
    DEAD_STUB,
    NO_VERSIONS,
    NOT_AT_READY,
    QUEUE_FULL,
    QUEUE_TIMEOUT,
    RESTRICTED,
    STOPPING,
    UNKNOWN_MODEL,
    Answer,
    FakeTriton,
    changed,
    honest,
    nan_row,
    refusing,
    slow,
)
from prometheus_client import REGISTRY, CollectorRegistry
from structlog.testing import capture_logs

from servicekit.health import Readiness
from servicekit.manifest import Manifest, read_repository
from services.inference.failures import RowOutcomes
from services.inference.metrics import PoolCollector
from services.inference.pool import CONDITION, TritonPool
from services.inference.servers import TritonServers
from services.inference.service import read_model_labels
from services.inference.servicer import InferenceServicer
from services.inference.triton import LEFT_TO_END_S, Triton
from triptych.inference.v1 import inference_service_pb2 as pb
from triptych.inference.v1 import inference_service_pb2_grpc as pb_grpc
from triptych.inference.v1 import model_pb2

TINY = Manifest.model_validate(manifest(temperatures={"1": 1.0, "2": 1.0}))
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@dataclass
class Service:
    """Is the service under test with what stands behind it."""

    channel: grpc.aio.Channel
    readiness: Readiness
    pool: TritonPool
    registry: CollectorRegistry

    def rows(self, outcome: str) -> float:
        """Returns how many rows of the newest version ended so."""
        labels = {"model": "tiny", "version": "2", "outcome": outcome}
        return self.registry.get_sample_value("triptych_inference_rows_total", labels) or 0.0

    async def predict(self, rows: int = 1, *, timeout_s: float = 5, **values: Any) -> pb.PredictLogitsResponse:
        """Asks for the logits of rows that begin with 0, 1, 2, ..."""
        pixels = np.zeros((rows, ROW_BYTES), np.uint8)
        pixels[:, 0] = np.arange(rows)
        defaults = {"model": "tiny", "tensor": encode(pixels.reshape(rows, HEIGHT, WIDTH, 3))}
        request = pb.PredictLogitsRequest(**{**defaults, **values})
        return await pb_grpc.InferenceServiceStub(self.channel).PredictLogits(request, timeout=timeout_s)

    async def becomes(self, *, ready: bool, within_s: float = 2) -> None:
        """Waits until readiness is as wanted."""
        await eventually(lambda: self.readiness.ready is ready, within_s)


@asynccontextmanager
async def _serving(*tritons: FakeTriton, interval_s: float = 0.05, ready: bool = True) -> AsyncIterator[Service]:
    readiness, manifests, registry = Readiness(CONDITION), {"tiny": TINY}, CollectorRegistry()
    pool = TritonPool(
        TritonServers([each.target for each in tritons], partial(Triton, max_message_bytes=2**24)),
        manifests,
        readiness,
        interval_s,
    )
    outcomes = RowOutcomes(registry)
    servicer = InferenceServicer(manifests, pool, max_batch=16, outcomes=outcomes, labels=lambda each: each.versions)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(pool.running())
        server = await stack.enter_async_context(
            running_server(
                lambda server: pb_grpc.add_InferenceServiceServicer_to_server(servicer, server),
                readiness=readiness,
                parcels=True,
            )
        )
        channel = await stack.enter_async_context(connected(server.port))
        service = Service(channel, readiness, pool, registry)
        if ready:
            await service.becomes(ready=True)
        yield service


@pytest.fixture
async def triton() -> AsyncIterator[FakeTriton]:
    """A Triton server that has both versions loaded."""
    async with FakeTriton(TINY).running() as running:
        yield running


@pytest.fixture
async def service(triton: FakeTriton) -> AsyncIterator[Service]:
    """The service in front of it, ready."""
    async with _serving(triton) as running:
        yield running


def _first_logits(response: pb.PredictLogitsResponse) -> list[float]:
    return [float(row[0]) for row in decode(response.logits)]


def _reasons(response: pb.PredictLogitsResponse) -> list[str]:
    return [outcome.error.reason for outcome in response.outcomes]


async def test_every_row_gets_its_logits(service: Service) -> None:
    """Logits come stacked, in the order of the rows."""
    response = await service.predict(3)

    assert ([0.0, 1.0, 2.0], [3, CLASSES]) == (_first_logits(response), list(response.logits.shape))


async def test_the_newest_version_answers(service: Service) -> None:
    """The version that answered is told when none was asked for."""
    response = await service.predict()

    assert ("tiny", "2") == (response.model, response.version)


async def test_the_asked_version_answers(service: Service, triton: FakeTriton) -> None:
    """Triton is asked for the version that the caller named."""
    response = await service.predict(version="1")

    assert ("1", "1") == (response.version, triton.requests[-1].model_version)


async def test_times_are_told(service: Service) -> None:
    """Compute time is Triton's own figure; the rest of the hop is its queue."""
    await service.predict()
    response = await service.predict()

    assert (True, True) == (0 < response.compute_ms <= 2, response.queue_ms >= 0)


async def test_statistics_that_hang_do_not_hold_the_answer(service: Service, triton: FakeTriton) -> None:
    """A figure for the timing is never worth the answer itself."""
    triton.without_statistics = True

    assert [""] == _reasons(await service.predict(timeout_s=1))


async def test_a_large_batch_is_split(service: Service, triton: FakeTriton) -> None:
    """No request to Triton has more rows than its configuration allows, and nothing is lost or moved."""
    response = await service.predict(10)

    assert [float(row) for row in range(10)] == _first_logits(response)
    assert [2, 4, 4] == sorted(request.inputs[0].shape[0] for request in triton.requests)


async def test_expired_rows_are_never_sent(service: Service, triton: FakeTriton) -> None:
    """A row whose time is up costs Triton nothing; its neighbours are answered."""
    response = await service.predict(3, time_left_ms=[5000, 0, 5000])

    assert (["", "DEADLINE_EXCEEDED", ""], [0.0, 2.0]) == (_reasons(response), _first_logits(response))
    assert [2] == [request.inputs[0].shape[0] for request in triton.requests]


async def test_only_expired_rows_send_nothing(service: Service, triton: FakeTriton) -> None:
    """A batch that nobody waits for does not reach Triton."""
    response = await service.predict(2, time_left_ms=[0, -1])

    assert (["DEADLINE_EXCEEDED"] * 2, [], [0, CLASSES]) == (
        _reasons(response),
        triton.requests,
        list(response.logits.shape),
    )


async def test_the_time_left_reaches_triton(service: Service, triton: FakeTriton) -> None:
    """Triton gets the longest waiting row's time as its own `timeout` parameter; gRPC's deadline comes well after."""
    await service.predict(2, time_left_ms=[500, 1500])
    timeout_s = triton.requests[-1].parameters["timeout"].int64_param / 1e6

    assert 1.4 < timeout_s <= 1.5
    assert abs(triton.deadlines_s[-1] - timeout_s - LEFT_TO_END_S) < 0.1


async def test_the_rpcs_deadline_bounds_every_row(service: Service, triton: FakeTriton) -> None:
    """A row cannot wait longer than the call that carries it."""
    await service.predict(timeout_s=1, time_left_ms=[60_000])

    assert triton.requests[-1].parameters["timeout"].int64_param <= 1.1e6


FAULTS = [
    ("RESOURCE_EXHAUSTED", "MODEL_QUEUE_FULL", refusing(UNAVAILABLE, QUEUE_FULL)),
    ("RESOURCE_EXHAUSTED", "MODEL_QUEUE_FULL", refusing(UNAVAILABLE, QUEUE_TIMEOUT)),
    ("INTERNAL", "INTERNAL", refusing(UNAVAILABLE, RESTRICTED)),
    ("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", refusing(UNAVAILABLE, STOPPING)),
    ("UNAVAILABLE", "MODEL_NOT_READY", refusing(grpc.StatusCode.NOT_FOUND, UNKNOWN_MODEL)),
    ("UNAVAILABLE", "MODEL_NOT_READY", refusing(grpc.StatusCode.NOT_FOUND, NO_VERSIONS)),
    ("UNAVAILABLE", "MODEL_NOT_READY", refusing(UNAVAILABLE, NOT_AT_READY)),
    ("UNAVAILABLE", "MODEL_NOT_READY", refusing(grpc.StatusCode.INTERNAL, DEAD_STUB)),
    ("INTERNAL", "INTERNAL", refusing(grpc.StatusCode.INTERNAL, "out of memory at 0x7f")),
    ("INTERNAL", "INTERNAL", refusing(grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape for input 'image'")),
    ("INTERNAL", "LOGITS_NOT_FINITE", nan_row(0)),
    ("INTERNAL", "INTERNAL", changed(lambda response: response.outputs[0].shape.__setitem__(1, CLASSES - 1))),
    ("INTERNAL", "INTERNAL", changed(lambda response: setattr(response.outputs[0], "datatype", "FP16"))),
    ("INTERNAL", "INTERNAL", changed(lambda response: response.raw_output_contents.__setitem__(0, b"\0"))),
    ("INTERNAL", "INTERNAL", changed(lambda response: response.ClearField("raw_output_contents"))),
    ("INTERNAL", "INTERNAL", changed(lambda response: response.ClearField("outputs"))),
    ("INTERNAL", "INTERNAL", changed(lambda response: setattr(response, "model_name", "other"))),
    ("INTERNAL", "INTERNAL", changed(lambda response: setattr(response, "model_version", "1"))),
]
NAMES = [
    "queue full", "queue timeout", "restricted", "stopping", "unknown model", "no versions", "not at ready",
    "dead stub", "internal", "invalid", "nan", "shape", "type", "short", "no data", "no output",
    "other model", "other version",
]  # fmt: skip


@pytest.mark.parametrize(("code", "reason", "answer"), FAULTS, ids=NAMES)
async def test_a_fault_of_triton_is_classified(
    service: Service, triton: FakeTriton, code: str, reason: str, answer: Any
) -> None:
    """What Triton refuses, or answers wrongly, is the row's outcome, and never a label."""
    triton.answer = answer
    (outcome,) = (await service.predict()).outcomes

    assert (grpc.StatusCode[code].value[0], reason) == (outcome.error.code, outcome.error.reason)


async def test_a_row_that_is_no_number_leaves_the_others_alone(service: Service, triton: FakeTriton) -> None:
    """NaN fails its own row only."""
    triton.answer = nan_row(1)
    response = await service.predict(3)

    assert (["", "LOGITS_NOT_FINITE", ""], [0.0, 2.0]) == (_reasons(response), _first_logits(response))


async def test_a_failed_request_leaves_the_other_chunks_alone(service: Service, triton: FakeTriton) -> None:
    """When a batch is split, one refused part fails its own rows only."""

    async def answer(request: Any, response: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        if request.inputs[0].shape[0] == 2:
            await context.abort(UNAVAILABLE, QUEUE_FULL)
        return response

    triton.answer = answer
    response = await service.predict(6)

    assert ["", "", "", "", "MODEL_QUEUE_FULL", "MODEL_QUEUE_FULL"] == _reasons(response)


async def test_a_slow_answer_is_late(service: Service, triton: FakeTriton) -> None:
    """A model that takes longer than its rows wait is told as DEADLINE_EXCEEDED, on time."""
    triton.answer = slow(5)
    start = time.perf_counter()
    response = await service.predict(time_left_ms=[200])

    assert ["DEADLINE_EXCEEDED"] == _reasons(response)
    assert time.perf_counter() - start < 1


async def test_what_is_given_up_is_left_to_end(service: Service, triton: FakeTriton) -> None:
    """A caller that leaves, or is late, cancels nothing in Triton, which could crash; its work counts until it ends."""
    triton.answer = slow(1)
    before = triton.succeeded
    (server,) = service.pool.servers()
    call = asyncio.ensure_future(service.predict())
    await eventually(lambda: bool(triton.requests))
    call.cancel()
    assert ["DEADLINE_EXCEEDED"] == _reasons(await service.predict(time_left_ms=[100]))
    assert 2 == server.in_flight
    await eventually(lambda: server.in_flight == 0)

    assert (2, 0) == (triton.succeeded - before, triton.cancelled)


BAD: Sequence[tuple[str, str, str, dict[str, Any]]] = [
    ("INVALID_ARGUMENT", "FIELD_MISSING", "model", {"model": ""}),
    ("NOT_FOUND", "MODEL_NOT_FOUND", "model", {"model": "huge"}),
    ("NOT_FOUND", "MODEL_VERSION_NOT_FOUND", "version", {"version": "3"}),
    ("INVALID_ARGUMENT", "TENSOR_INVALID", "tensor.data_type", {"tensor": None}),
    ("INVALID_ARGUMENT", "TENSOR_INVALID", "tensor", {"tensor": encode(np.zeros((1, 2, 2, 3), np.uint8))}),
    ("INVALID_ARGUMENT", "TENSOR_INVALID", "tensor", {"tensor": encode(np.zeros((17, HEIGHT, WIDTH, 3), np.uint8))}),
    ("INVALID_ARGUMENT", "FIELD_INVALID", "time_left_ms", {"time_left_ms": [1, 2]}),
]


@pytest.mark.parametrize(("code", "reason", "field", "values"), BAD)
async def test_a_bad_batch_is_refused(
    service: Service, code: str, reason: str, field: str, values: dict[str, Any]
) -> None:
    """What concerns the whole batch fails the call and names the field."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.predict(**values)

    assert (code, reason, field) == (caught.value.code().name, reason_of(caught.value), field_of(caught.value))


async def test_models_are_described(service: Service, triton: FakeTriton) -> None:
    """A model's sizes, limits and versions are those of manifest and Triton together."""
    triton.loaded.discard(("tiny", "2"))
    await eventually(lambda: ("tiny", "2") not in service.pool.loaded())
    response = await pb_grpc.InferenceServiceStub(service.channel).ListModels(pb.ListModelsRequest(), timeout=2)
    (model,) = response.models

    assert ("tiny", "Tiny", WIDTH, HEIGHT, CLASSES, 4) == (
        model.name,
        model.title,
        model.input_width_px,
        model.input_height_px,
        model.class_count,
        model.max_batch_size,
    )
    assert [
        model_pb2.ModelVersion(
            version="1", state=model_pb2.MODEL_STATE_READY, backend="openvino", instances=triton.instances
        ),
        model_pb2.ModelVersion(
            version="2", state=model_pb2.MODEL_STATE_UNAVAILABLE, detail="No model server has loaded it."
        ),
    ] == list(model.versions)


async def test_labels_are_told_to_who_asks_for_them(service: Service) -> None:
    """They are many, and change seldom."""
    stub = pb_grpc.InferenceServiceStub(service.channel)
    (plain,) = (await stub.ListModels(pb.ListModelsRequest(), timeout=2)).models
    (told,) = (await stub.ListModels(pb.ListModelsRequest(labels=True), timeout=2)).models

    assert ([], list(TINY.versions)) == (list(plain.labels), list(told.labels))


def test_labels_are_read_from_the_repository(tmp_path: Path) -> None:
    """Of a model whose labels cannot be read there are none."""
    folder = write_model(tmp_path, manifest("tiny"))
    found = read_repository(tmp_path)["tiny"]
    assert LABELS == read_model_labels(tmp_path, found)
    (folder / "labels.txt").unlink()
    assert () == read_model_labels(tmp_path, found)


async def test_one_model_is_described(service: Service) -> None:
    """GetModel answers as ListModels does."""
    stub = pb_grpc.InferenceServiceStub(service.channel)
    listed = await stub.ListModels(pb.ListModelsRequest(), timeout=2)

    assert listed.models[0] == (await stub.GetModel(pb.GetModelRequest(model="tiny"), timeout=2)).model


async def test_an_unknown_model_is_not_described(service: Service) -> None:
    """GetModel of a name that nobody published is NOT_FOUND."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await pb_grpc.InferenceServiceStub(service.channel).GetModel(pb.GetModelRequest(model="huge"), timeout=2)

    assert "MODEL_NOT_FOUND" == reason_of(caught.value)


async def test_a_version_that_is_unloaded_gives_way(service: Service, triton: FakeTriton) -> None:
    """When the newest version goes, the one before answers."""
    triton.loaded.discard(("tiny", "2"))
    await eventually(lambda: ("tiny", "2") not in service.pool.loaded())

    assert "1" == (await service.predict()).version


async def test_a_model_that_contradicts_its_manifest_never_answers() -> None:
    """Another number of classes in Triton's configuration makes every version unready, with a sentence."""
    triton = FakeTriton(TINY)
    triton.output_classes = CLASSES + 1
    async with triton.running(), _serving(triton, ready=False) as service:
        await eventually(lambda: "another output" in service.readiness.failing().get(CONDITION, ""))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.predict()

    assert ("MODEL_NOT_READY", []) == (reason_of(caught.value), triton.requests)


async def test_a_corrected_model_answers_again() -> None:
    """A contradiction is looked at again, not remembered."""
    triton = FakeTriton(TINY)
    triton.max_batch_size = 0
    async with triton.running(), _serving(triton, ready=False) as service:
        await eventually(lambda: "no batches" in service.readiness.failing().get(CONDITION, ""))
        triton.max_batch_size = 8

        await service.becomes(ready=True)


async def _stop(triton: FakeTriton) -> None:
    await triton.stop()


async def _hang(triton: FakeTriton) -> None:
    triton.hung = True


async def _unload(triton: FakeTriton) -> None:
    triton.loaded.clear()


@pytest.mark.parametrize("end", [_stop, _unload], ids=["stopped", "unloaded"])
async def test_readiness_turns_false_within_two_seconds(triton: FakeTriton, end: Callable[[FakeTriton], Any]) -> None:
    """Triton's end is noticed at the pace of the default settings."""
    async with _serving(triton, interval_s=0.25) as service:
        await end(triton)

        await service.becomes(ready=False, within_s=2)


async def test_a_hanging_triton_is_noticed(triton: FakeTriton) -> None:
    """A process that takes connections and answers nothing is lost too, within two seconds for its callers."""
    async with _serving(triton, interval_s=0.25) as service:
        triton.hung = True

        await eventually(lambda: not service.pool.loaded(), within_s=2)
        await service.becomes(ready=False, within_s=2)


async def test_without_triton_a_call_fails_fast(service: Service, triton: FakeTriton) -> None:
    """Nobody waits for a deadline when no server has the model."""
    await triton.stop()
    await service.becomes(ready=False)
    start = time.perf_counter()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.predict()

    assert (UNAVAILABLE, "MODEL_NOT_READY") == (caught.value.code(), reason_of(caught.value))
    assert time.perf_counter() - start < 0.5


async def test_a_restarted_triton_is_used_again(service: Service, triton: FakeTriton) -> None:
    """Two seconds after Triton is back, so is the service."""
    await triton.stop()
    await service.becomes(ready=False)
    await triton.start()
    await service.becomes(ready=True)

    assert [""] == _reasons(await service.predict())


async def test_work_is_spread_over_idle_servers() -> None:
    """Requests that overlap go to the least busy server."""
    async with FakeTriton(TINY).running() as first, FakeTriton(TINY).running() as second:
        first.answer = second.answer = slow(0.2)
        async with _serving(first, second) as service:
            await eventually(lambda: _both_loaded(service))
            await asyncio.gather(*(service.predict() for _ in range(4)))

    assert [2, 2] == [len(first.requests), len(second.requests)]


def _both_loaded(service: Service) -> bool:
    return all(server.versions for server in service.pool._servers)


async def test_one_of_two_servers_dies_and_traffic_goes_on() -> None:
    """No call fails for want of a server while another one has the model."""
    async with (
        FakeTriton(TINY).running() as first,
        FakeTriton(TINY).running() as second,
        _serving(first, second, interval_s=0.25) as service,
    ):
        await eventually(lambda: _both_loaded(service))
        await first.stop()
        reasons = [_reasons(await service.predict()) for _ in range(20)]

    assert [[""]] * 20 == reasons


async def test_a_full_queue_gets_no_second_request(service: Service, triton: FakeTriton) -> None:
    """Shed work is not repeated at once: that would be a retry storm."""
    triton.answer = refusing(UNAVAILABLE, QUEUE_FULL)
    await service.predict()

    assert 1 == len(triton.requests)


def _version_refuses(version: str, code: grpc.StatusCode, text: str) -> Answer:
    """Refuses requests to one version, and answers the others."""
    refuse = refusing(code, text)

    async def answer(request: Any, response: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        return await (refuse if request.model_version == version else honest)(request, response, context)

    return answer


async def test_a_version_whose_process_died_is_not_ready(service: Service, triton: FakeTriton) -> None:
    """Triton goes on calling it ready, but no test inference passes: it refuses at once until one does."""
    triton.answer = refusing(grpc.StatusCode.INTERNAL, DEAD_STUB)
    await service.predict()
    await service.becomes(ready=False)
    sent = len(triton.requests)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.predict()

    assert ("MODEL_NOT_READY", sent) == (reason_of(caught.value), len(triton.requests))
    assert "process has died" in service.readiness.failing()[CONDITION]


async def test_a_version_whose_process_is_back_answers(service: Service, triton: FakeTriton) -> None:
    """A test inference that passes is all it takes."""
    triton.answer = refusing(grpc.StatusCode.INTERNAL, DEAD_STUB)
    await service.predict()
    await service.becomes(ready=False)
    triton.answer = honest

    await service.becomes(ready=True)
    assert [""] == _reasons(await service.predict(version="1"))


async def test_a_model_that_is_broken_from_the_start_is_never_ready() -> None:
    """At first sight too, `ready` has to be proved by an answer."""
    triton = FakeTriton(TINY)
    triton.answer = refusing(grpc.StatusCode.INTERNAL, "out of memory")
    async with triton.running(), _serving(triton, ready=False) as service:
        await eventually(lambda: "test inference" in service.readiness.failing().get(CONDITION, ""))

    assert [] == triton.requests


async def test_every_instance_is_examined() -> None:
    """One dead process of several must not hide behind a living one: there are more tries than instances."""
    triton = FakeTriton(TINY)
    triton.instances = 3
    async with triton.running(), _serving(triton):
        assert {"1": 6, "2": 6} == Counter(request.model_version for request in triton.examinations)


async def test_failures_that_others_met_start_an_examination(service: Service, triton: FakeTriton) -> None:
    """Statistics of a Triton whose requests only fail are enough; no request has to fail here."""
    triton.answer = refusing(grpc.StatusCode.INTERNAL, DEAD_STUB)
    triton.fails_others = True

    await service.becomes(ready=False)
    assert [] == triton.requests


async def test_a_suspect_answers_until_it_is_convicted(service: Service, triton: FakeTriton) -> None:
    """While an examination runs, a version that was usable stays so."""
    triton.answer = slow(0.3)
    before = len(triton.examinations)
    triton.fails_others = True
    await eventually(lambda: len(triton.examinations) > before)

    assert {("tiny", "1"), ("tiny", "2")} == service.pool.loaded().keys()


async def test_a_slow_model_becomes_ready() -> None:
    """An examination may take longer than a round of the prober: the next one finds it done."""
    triton = FakeTriton(TINY)
    triton.answer = slow(0.7)
    async with triton.running(), _serving(triton, ready=False) as service:
        await service.becomes(ready=True, within_s=5)


async def test_nobody_is_ready_before_the_default_version_is_tried() -> None:
    """A service that has just started answers with the version that its twins answer with, not with a lesser one."""
    triton = FakeTriton(TINY)
    late = slow(0.7)

    async def answer(request: Any, response: Any, context: Any) -> Any:
        return await (late if request.model_version == "2" else honest)(request, response, context)

    triton.answer = answer
    async with triton.running(), _serving(triton, ready=False) as service:
        await service.becomes(ready=True, within_s=5)
        assert {("tiny", "1"), ("tiny", "2")} == service.pool.loaded().keys()


async def test_an_examination_of_what_was_lost_does_not_count(triton: FakeTriton) -> None:
    """What began before the loss proves nothing after it."""
    triton.answer = slow(0.2)
    server = Triton(triton.target, 2**24)
    await server.refresh({"tiny": TINY}, 0.1)
    triton.loaded.clear()
    await server.refresh({"tiny": TINY}, 5)

    assert {} == server.versions
    await server.close()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (UNAVAILABLE, NOT_AT_READY),
        (grpc.StatusCode.NOT_FOUND, NO_VERSIONS),
        (grpc.StatusCode.INTERNAL, DEAD_STUB),
    ],
    ids=["swapped", "unloading", "dead stub"],
)
async def test_losing_one_version_leaves_the_others(
    service: Service, triton: FakeTriton, code: grpc.StatusCode, text: str
) -> None:
    """What Triton says about one version takes that one away, and no other."""
    triton.answer = _version_refuses("2", code, text)
    await service.predict(version="2")

    assert ("1", True) == ((await service.predict()).version, service.readiness.ready)


async def test_statistics_that_hang_leave_the_server_ready(service: Service, triton: FakeTriton) -> None:
    """A refresh goes by what is ready; statistics never make it fail."""
    triton.without_statistics = True
    began = len(triton.examinations)
    triton.loaded.discard(("tiny", "2"))
    await eventually(lambda: ("tiny", "2") not in service.pool.loaded())
    triton.loaded.add(("tiny", "2"))
    await eventually(lambda: ("tiny", "2") in service.pool.loaded())

    assert service.readiness.ready
    assert len(triton.examinations) > began


async def test_a_server_that_exceeds_its_time_is_forgotten(triton: FakeTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that is given up leaves no old version behind, whatever hung in it."""
    async with _serving(triton) as service:
        monkeypatch.setattr("services.inference.pool.SERVER_TIMEOUT_S", 0.1)
        triton.unready_s = 0.3

        await eventually(lambda: not service.pool.loaded(), within_s=2)
        await service.becomes(ready=False)


async def test_tritons_words_are_logged(service: Service, triton: FakeTriton) -> None:
    """The caller gets our sentence; the log gets Triton's, with server, model and version."""
    triton.answer = refusing(grpc.StatusCode.INTERNAL, "out of memory at 0x7f")
    with capture_logs() as lines:
        await service.predict()
    line = next(line for line in lines if line["event"] == "triton refused")

    assert (triton.target, "tiny", "2", "INTERNAL", "out of memory at 0x7f") == (
        line["server"],
        line["model"],
        line["version"],
        line["code"],
        line["text"],
    )


async def test_outcomes_of_rows_are_counted_and_logged(service: Service, triton: FakeTriton) -> None:
    """An RPC that is OK may hold rows that are not: each counts by its reason, and failures are logged."""
    triton.answer = nan_row(1)
    with capture_logs() as lines:
        await service.predict(3)
    line = next(line for line in lines if line["event"] == "rows failed")

    assert (2.0, 1.0) == (service.rows("OK"), service.rows("LOGITS_NOT_FINITE"))
    assert ("tiny", "2", "LOGITS_NOT_FINITE", 1, 3) == (
        line["model"],
        line["version"],
        line["reason"],
        line["rows"],
        line["of"],
    )


async def test_a_scrape_sees_servers_and_versions(service: Service, triton: FakeTriton) -> None:
    """Each server is ready or not, each published version too, with its instances, as it is at that moment."""
    registry = CollectorRegistry()
    registry.register(PoolCollector(service.pool, {"tiny": TINY}))
    version = {"model": "tiny", "version": "2"}

    def found() -> tuple[float | None, ...]:
        return (
            registry.get_sample_value("triptych_triton_ready", {"server": triton.target}),
            registry.get_sample_value("triptych_triton_in_flight_requests", {"server": triton.target}),
            sum(sample.value for sample in _samples(registry, "triptych_model_version_ready", version)),
            sum(sample.value for sample in _samples(registry, "triptych_triton_instances", version)),
        )

    await eventually(lambda: len(service.pool.loaded()) == 2)
    assert (1, 0, 1) == found()[:3]
    instances = found()[3]
    await triton.stop()
    await service.becomes(ready=False)

    assert (0, 0, 0, 0) == found()
    assert instances is not None
    assert instances >= 1


def _samples(registry: CollectorRegistry, name: str, labels: dict[str, str]) -> Iterator[Any]:
    return (
        sample
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def test_calls_to_triton_are_counted(service: Service) -> None:
    """Each is one begun and one ended among the process's calls to neighbours, whoever else made some."""
    labels = {"grpc_type": "unary", "grpc_service": "inference.GRPCInferenceService", "grpc_method": "ModelInfer"}

    def counted() -> tuple[float, float]:
        value = REGISTRY.get_sample_value
        return (
            value("grpc_client_started_total", labels) or 0.0,
            value("grpc_client_handled_total", {**labels, "grpc_code": "OK"}) or 0.0,
        )

    await eventually(lambda: len(service.pool.loaded()) == 2)  # so that no examination is counted
    before = counted()
    await service.predict()
    started, handled = counted()

    assert (1, 1) == (started - before[0], handled - before[1])
