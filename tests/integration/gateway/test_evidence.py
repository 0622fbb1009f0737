"""What the gateway tells of requests, and what becomes of both when nobody listens; the listener is scripted."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import grpc
import pytest
from blake3 import blake3
from fakes.evidence_service import FakeEvidence, experiment
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours
from fakes.servers import eventually, free_port
from prometheus_client import REGISTRY

from servicekit.errors import Internal, Reason, ResourceExhausted, TriptychError, Unavailable
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Classification, Image
from triptych.experiments.v1 import evidence_service_pb2 as evidence_pb
from triptych.experiments.v1.experiment_pb2 import Arm


@pytest.fixture
async def behind() -> AsyncIterator[Neighbours]:
    """The three services."""
    async with Neighbours().running() as running:
        yield running


async def _ask(gateway: Gateway, images: str = "a", key: str = "me", **values: Any) -> list[Classification]:
    request = pb.ClassifyRequest(images=[Image(content=each.encode()) for each in images], **values)
    stub = pb_grpc.ClassificationServiceStub(gateway.channel)
    metadata = (("x-route-key", key), ("x-tenant", "shop"), ("x-request-id", f"order-{key}"))
    return list((await stub.Classify(request, timeout=10, metadata=metadata)).results)


def _counted(outcome: str, kind: str = "predictions") -> float:
    return REGISTRY.get_sample_value("triptych_evidence_total", {"kind": kind, "outcome": outcome}) or 0.0


async def _holds(_request: Any, _response: Any) -> Any:
    await asyncio.Event().wait()


def _refusing(error: TriptychError) -> Any:
    """Fails all evidence, and says what runs all the same."""

    async def answer(request: Any, response: Any) -> Any:
        if isinstance(request, evidence_pb.RecordEvidenceRequest):
            raise error
        return response

    return answer


@pytest.mark.parametrize("cache_bytes", [0, 2**20])
async def test_an_answer_is_told_of(behind: Neighbours, evidence: FakeEvidence, cache_bytes: int) -> None:
    """Who asked, what was answered by which version, and about which image; but not the image."""
    started = time.time()
    async with running_gateway(behind, experiments_target=evidence.target, result_cache_bytes=cache_bytes) as gateway:
        (result,) = await _ask(gateway, "a", model="other")
        await eventually(lambda: bool(evidence.told.predictions))
    (record,), (exposure,) = evidence.told.predictions, evidence.told.exposures

    assert (result.prediction_id, "order-me", "shop") == (record.prediction_id, record.request_id, record.tenant)
    assert ("other", result.version, "speed", result.arm) == (
        record.model,
        record.version,
        record.experiment,
        record.arm,
    )
    assert [(each.index, each.label, each.score) for each in result.predictions] == [
        (each.index, each.label, each.score) for each in record.top
    ]
    assert (exposure.key_hash, exposure.arm, exposure.epoch) == (record.key_hash, record.arm, record.epoch)
    assert (blake3(b"a").digest(), 1, b"") == (record.image_digest, record.image_bytes, record.image)
    assert (1.0, False, False) == (record.inclusion_probability, record.fallback, record.cached)
    assert 7 == UUID(record.prediction_id).version
    assert started - 1 <= record.time.ToMicroseconds() / 1e6 <= time.time() + 1
    assert 0 < record.total_ms < 10_000
    assert (False, False) == (exposure.failed, exposure.void)


async def test_a_request_of_several_images_is_one_exposure(behind: Neighbours, evidence: FakeEvidence) -> None:
    """With a record for each image; one that was answered before says so."""
    async with running_gateway(behind, experiments_target=evidence.target, result_cache_bytes=2**20) as gateway:
        await _ask(gateway, "a", model="other")
        results = await _ask(gateway, "abc", model="other")
        await eventually(lambda: 4 == len(evidence.told.predictions))
    records = evidence.told.predictions[1:]

    assert 2 == len(evidence.told.exposures)
    assert [each.prediction_id for each in results] == [each.prediction_id for each in records]
    assert [blake3(each).digest() for each in (b"a", b"b", b"c")] == [each.image_digest for each in records]
    assert [True, False, False] == [each.cached for each in records]


@pytest.mark.parametrize(
    ("values", "images"),
    [({}, [b"", b""]), ({"retain_images": "all"}, [b"a", b"b"]), ({"retain_images": "uncertain"}, [b"", b""])],
)
async def test_images_are_kept_only_when_asked_for(
    behind: Neighbours, evidence: FakeEvidence, values: dict[str, Any], images: list[bytes]
) -> None:
    """None by default; the scripted answers, half against a quarter, are certain."""
    async with running_gateway(behind, experiments_target=evidence.target, **values) as gateway:
        await _ask(gateway, "ab")
        await eventually(lambda: 2 == len(evidence.told.predictions))

    assert images == [each.image for each in evidence.told.predictions]


async def test_uncertain_answers_keep_their_images(behind: Neighbours, evidence: FakeEvidence) -> None:
    """Where half against a quarter counts as uncertain."""
    values: dict[str, Any] = {"retain_images": "uncertain", "prediction_log_margin": 0.3}
    async with running_gateway(behind, experiments_target=evidence.target, **values) as gateway:
        await _ask(gateway)
        await eventually(lambda: bool(evidence.told.predictions))

    assert [b"a"] == [each.image for each in evidence.told.predictions]


async def test_a_part_of_the_answers_is_logged(behind: Neighbours, evidence: FakeEvidence) -> None:
    """Outside experiments a half, with the probability in the record; inside, all."""
    async with running_gateway(behind, experiments_target=evidence.target, prediction_log_share=0.5) as gateway:
        for number in range(10):
            await _ask(gateway, "abcdefghijklmnopqrst", f"key-{number}")
        await _ask(gateway, "a", model="other")
        await eventually(lambda: bool(evidence.told.exposures))
    inside = Counter(bool(each.experiment) for each in evidence.told.predictions)

    assert 1 == inside[True]
    assert abs(inside[False] - 100) <= 3 * 50**0.5
    assert {0.5, 1.0} == {each.inclusion_probability for each in evidence.told.predictions}


async def test_nothing_is_logged_where_nothing_shall_be(behind: Neighbours, evidence: FakeEvidence) -> None:
    """But what takes part in an experiment."""
    values: dict[str, Any] = {"prediction_log_share": 0, "prediction_log_margin": 0}
    async with running_gateway(behind, experiments_target=evidence.target, **values) as gateway:
        await _ask(gateway, "abc")
        await _ask(gateway, "a", model="other")
        await eventually(lambda: bool(evidence.told.predictions))

    assert ["speed"] == [each.experiment for each in evidence.told.predictions]


async def test_without_a_target_nothing_is_dealt(behind: Neighbours) -> None:
    """Keys mean nothing then, however long they are."""
    async with running_gateway(behind) as gateway:
        (result,) = await _ask(gateway, "a", "k" * 300, model="other")

    assert ("1", "") == (result.version, result.experiment)


async def test_evidence_goes_in_few_messages(behind: Neighbours, evidence: FakeEvidence) -> None:
    """What a fifth of a second brings goes together."""
    async with running_gateway(behind, experiments_target=evidence.target) as gateway:
        for _ in range(5):
            await asyncio.gather(*(_ask(gateway, key=f"key-{number}") for number in range(10)))
        await eventually(lambda: 50 == len(evidence.told.predictions))

    assert len(evidence.calls) <= 15


async def test_what_comes_while_the_service_is_away_is_told_later(behind: Neighbours, evidence: FakeEvidence) -> None:
    """Once, and in order; requests go on with what was known."""
    async with running_gateway(behind, experiments_target=evidence.target) as gateway:
        first = (await _ask(gateway, model="other"))[0]
        await eventually(lambda: bool(evidence.told.predictions))
        await evidence.stop()
        began = time.monotonic()
        later = [(await _ask(gateway, model="other"))[0] for _ in range(10)]
        took_s = time.monotonic() - began
        await evidence.start()
        await eventually(lambda: 11 == len(evidence.told.predictions), 10)
    told = [each.prediction_id for each in evidence.told.predictions]

    assert took_s < 5
    assert {first.arm} == {each.arm for each in later}
    assert [each.prediction_id for each in (first, *later)] == told


@pytest.mark.parametrize("answer", [_holds, _refusing(Unavailable("Gone."))], ids=["hanging", "failing"])
async def test_memory_is_bounded_whatever_the_service_does(
    behind: Neighbours, evidence: FakeEvidence, answer: Any
) -> None:
    """Pictures that do not fit are dropped and counted; no answer waits, and nothing is left behind."""
    settings: dict[str, Any] = {"evidence_queue_bytes": 2**20, "retain_images": "all"}
    before, image = _counted("full", "pictures"), "x" * 200_000
    async with running_gateway(behind, experiments_target=evidence.target, **settings) as gateway:
        evidence.answer = answer
        tasks = len(asyncio.all_tasks())
        stub = pb_grpc.ClassificationServiceStub(gateway.channel)
        began = time.monotonic()
        for _ in range(20):
            await stub.Classify(pb.ClassifyRequest(images=[Image(content=image.encode())]), timeout=5)
        took_s = time.monotonic() - began
        queued = REGISTRY.get_sample_value("triptych_evidence_queue_bytes") or 0.0

        assert took_s < 5
        assert 0 < queued <= 2**20
        assert 20 == _counted("full", "pictures") - before + queued // 200_000
        assert len(asyncio.all_tasks()) <= tasks + 8
        evidence.answer = _refusing(Unavailable("Gone."))


async def test_a_service_that_never_was_costs_no_answer(behind: Neighbours) -> None:
    """There are no experiments then; the process ends in time, and counts what nobody heard."""
    before = _counted("ended")
    async with running_gateway(behind, experiments_target=f"ipv4:127.0.0.1:{free_port()}") as gateway:
        results = await _ask(gateway, "abc", model="other")
        ended = time.monotonic()

    assert {("1", "")} == {(each.version, each.experiment) for each in results}
    assert time.monotonic() - ended < 4
    assert 3 == _counted("ended") - before


async def test_a_gateway_waits_a_little_to_hear_what_runs(behind: Neighbours, evidence: FakeEvidence) -> None:
    """Where it starts together with the service, its first requests are dealt like those of other gateways."""
    await evidence.stop()

    async def comes() -> None:
        await asyncio.sleep(0.3)
        await evidence.start()

    coming = asyncio.create_task(comes())
    async with running_gateway(behind, experiments_target=evidence.target) as gateway:
        (result,) = await _ask(gateway, model="other")
    await coming

    assert "speed" == result.experiment


async def test_the_last_of_it_is_told_in_the_end(behind: Neighbours, evidence: FakeEvidence) -> None:
    """A gateway that is told to stop tells what it has, without waiting for more."""
    async with running_gateway(behind, experiments_target=evidence.target) as gateway:
        await _ask(gateway, "abc", model="other")

    assert (1, 3) == (len(evidence.told.exposures), len(evidence.told.predictions))


async def test_what_is_refused_is_dropped_and_the_rest_goes_on(behind: Neighbours, evidence: FakeEvidence) -> None:
    """An error that would come again and again holds nobody up."""
    before = _counted("refused")
    async with running_gateway(behind, experiments_target=evidence.target) as gateway:
        evidence.answer = _refusing(Internal("Broken."))
        await _ask(gateway, model="other")
        await eventually(lambda: _counted("refused") > before)
        evidence.answer = _refusing(ResourceExhausted("Full.", reason=Reason.STORE_FULL))
        (kept,) = await _ask(gateway, model="other")
        await eventually(lambda: len(evidence.calls) > 1)
        evidence.answer = FakeEvidence().answer
        await eventually(lambda: bool(evidence.told.predictions), 5)

    assert [kept.prediction_id] == [each.prediction_id for each in evidence.told.predictions]


@pytest.mark.parametrize(
    ("images", "void"), [("a", True), ("ab", True), ("b", False), ("bc", False)], ids=["all", "one", "none", "no-one"]
)
async def test_what_was_remembered_says_nothing(
    behind: Neighbours, evidence: FakeEvidence, images: str, void: bool
) -> None:
    """Nor does a request of several images of which one was: its version had less to do than another's."""
    evidence.run(experiment(rules={"slow_ms": 5000}, arms=[Arm(name="control", version="1", weight=1)]))
    async with running_gateway(behind, experiments_target=evidence.target, result_cache_bytes=2**20) as gateway:
        await _ask(gateway, "a", key="first", model="other")
        await _ask(gateway, images, key="second", model="other")
        await eventually(lambda: 2 == len(evidence.told.exposures))

    assert [False, void] == [each.void for each in evidence.told.exposures]


async def test_a_failure_beside_what_was_remembered_says_nothing(behind: Neighbours, evidence: FakeEvidence) -> None:
    """Such requests do not count when they succeed: those that fail would be all that is left."""
    evidence.run(experiment(rules={"slow_ms": 5000}, arms=[Arm(name="candidate", version="2", weight=1)]))
    async with running_gateway(behind, experiments_target=evidence.target, result_cache_bytes=2**20) as gateway:
        await _ask(gateway, "a", key="first", model="other")
        behind.inference.answer = _second_failing(Internal("Broken."))
        for images in ("ab", "bc"):
            await _ask(gateway, images, key=images, model="other")
        await eventually(lambda: 3 == len(evidence.told.exposures))

    assert [(False, False), (False, True), (True, False)] == [
        (each.failed, each.void) for each in evidence.told.exposures
    ]


def _second_failing(error: Exception) -> Any:
    """Fails requests to version 2."""

    async def answer(request: Any, response: Any) -> Any:
        if request.version == "2":
            raise error
        return response

    return answer


async def test_cancelled_requests_leave_no_record(behind: Neighbours, evidence: FakeEvidence) -> None:
    """But the exposure, which says that it says nothing."""
    evidence.run(experiment(rules={"slow_ms": 5000}))
    async with running_gateway(behind, experiments_target=evidence.target) as gateway:
        behind.inference.answer = _holds
        call = asyncio.create_task(_ask(gateway, model="other"))
        await eventually(lambda: bool(behind.inference.requests))
        call.cancel()
        with pytest.raises((asyncio.CancelledError, grpc.aio.AioRpcError)):
            await call
        await eventually(lambda: bool(evidence.told.exposures))

    assert ([True], 0) == ([each.void for each in evidence.told.exposures], len(evidence.told.predictions))
