"""Versions that see requests besides: what is told of them, and that no answer waits for them."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes.evidence_service import FakeEvidence, experiment
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours
from fakes.servers import eventually
from prometheus_client import REGISTRY

from servicekit.errors import Internal
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Classification, Image
from triptych.experiments.v1.experiment_pb2 import Arm, Shadow
from triptych.inference.v1 import inference_service_pb2 as inference_pb

ALONE = {"arms": [Arm(name="live", version="1", weight=1)]}


@pytest.fixture
async def behind() -> AsyncIterator[Neighbours]:
    """The three services."""
    async with Neighbours().running() as running:
        yield running


@pytest.fixture
async def evidence() -> AsyncIterator[FakeEvidence]:
    """The experiments service, with a version in shadow."""
    shadowed = experiment("look", shadows=[Shadow(name="fast", version="2", share=1)], **ALONE)
    async with FakeEvidence(shadowed).running() as running:
        yield running


@pytest.fixture
async def gateway(behind: Neighbours, evidence: FakeEvidence) -> AsyncIterator[Gateway]:
    """A gateway that knows of it, ready."""
    async with running_gateway(behind, experiments_target=evidence.target) as running:
        yield running


async def _ask(gateway: Gateway, images: str = "a", timeout_s: float = 5, **values: Any) -> list[Classification]:
    content = [Image(content=each.encode()) for each in images]
    request = pb.ClassifyRequest(images=content, **{"model": "other", **values})
    stub = pb_grpc.ClassificationServiceStub(gateway.channel)
    return list((await stub.Classify(request, timeout=timeout_s)).results)


def _shadows(outcome: str) -> float:
    return REGISTRY.get_sample_value("triptych_shadows_total", {"outcome": outcome}) or 0.0


async def _told(evidence: FakeEvidence, shadows: int) -> None:
    await eventually(lambda: shadows == len(evidence.told.shadows))


def _of_version(behind: Neighbours, version: str) -> list[Any]:
    return [each for each in behind.inference.requests if each.version == version]


def _second(answer: Any) -> Any:
    """Answers version 2 otherwise."""

    async def respond(request: inference_pb.PredictLogitsRequest, response: Any) -> Any:
        return await answer(request, response) if request.version == "2" else response

    return respond


async def _holds(_request: Any, _response: Any) -> Any:
    await asyncio.Event().wait()


async def _breaks(_request: Any, _response: Any) -> Any:
    raise Internal("Broken.")


async def _another(_request: Any, response: Any) -> Any:
    response.logits.data = bytes(byte + 1 for byte in response.logits.data)
    return response


async def test_a_shadow_is_told_of(gateway: Gateway, behind: Neighbours, evidence: FakeEvidence) -> None:
    """Its first class, and that of the answer that the caller got, which is the arm's."""
    behind.inference.answer = _second(_another)
    (result,) = await _ask(gateway)
    await eventually(lambda: bool(evidence.told.shadows))
    (record,) = evidence.told.shadows

    assert ("live", "1", "a") == (result.arm, result.version, result.predictions[0].label)
    assert (result.prediction_id, "look", "fast", "2") == (
        record.prediction_id,
        record.experiment,
        record.shadow,
        record.version,
    )
    assert ("a", "b") == (record.served.label, record.first.label)
    assert record.total_ms > 0


async def test_a_shadow_takes_the_input_that_was_made(gateway: Gateway, behind: Neighbours) -> None:
    """A picture is decoded once, whoever sees it."""
    await _ask(gateway)
    await eventually(lambda: 2 == len(behind.postprocess.requests))

    assert (1, 2) == (len(behind.preprocess.requests), len(behind.inference.requests))


async def test_a_shadow_sees_every_image_of_a_request(gateway: Gateway, evidence: FakeEvidence) -> None:
    """Each has a record of its own."""
    results = await _ask(gateway, "abc")
    await eventually(lambda: 3 == len(evidence.told.shadows))

    assert [(each.prediction_id, each.predictions[0].label) for each in results] == [
        (each.prediction_id, each.first.label) for each in evidence.told.shadows
    ]


async def test_a_shadow_shares_the_cache(behind: Neighbours, evidence: FakeEvidence) -> None:
    """What a version was asked before it is not asked again."""
    async with running_gateway(behind, experiments_target=evidence.target, result_cache_bytes=2**20) as gateway:
        for number in range(1, 4):
            await _ask(gateway)
            await _told(evidence, number)

    assert (1, 1) == (len(_of_version(behind, "1")), len(_of_version(behind, "2")))


async def test_a_shadow_that_fails_is_told_of(gateway: Gateway, behind: Neighbours, evidence: FakeEvidence) -> None:
    """It has no first class; the caller notices nothing."""
    behind.inference.answer = _second(_breaks)
    await _ask(gateway)
    await eventually(lambda: bool(evidence.told.shadows))
    (record,) = evidence.told.shadows

    assert (False, True) == (record.HasField("first"), record.HasField("served"))


async def test_a_shadow_that_hangs_holds_nobody_up(gateway: Gateway, behind: Neighbours) -> None:
    """No answer takes longer, however many shadows hang; when as many do as may, others are not begun."""
    limit = _shadows("shed_limit")
    behind.inference.answer = _second(_holds)
    await _ask(gateway)
    took = []
    for _ in range(20):
        began = time.perf_counter()
        await _ask(gateway)
        took.append(time.perf_counter() - began)

    assert sorted(took)[15] < 0.1  # what a message of hanging shadows would cost, if it took the place of another
    assert 2 == len(_of_version(behind, "2"))
    assert 19 == _shadows("shed_limit") - limit


async def test_no_shadow_is_begun_while_images_wait(gateway: Gateway, behind: Neighbours) -> None:
    """Under load they are the first to go, and counted."""
    waiting = _shadows("shed_waiting")

    async def slowly(_request: Any, response: Any) -> Any:
        await asyncio.sleep(0.03)
        return response

    behind.inference.answer = slowly
    await asyncio.gather(*(_ask(gateway, timeout_s=20) for _ in range(60)))

    assert _shadows("shed_waiting") > waiting


async def test_some_requests_are_shown(gateway: Gateway, evidence: FakeEvidence) -> None:
    """As many as the share says, of one key as of all; frames of a video are told apart."""
    shadowed = experiment("look", shadows=[Shadow(name="fast", version="2", share=0.3)], **ALONE)
    evidence.run(shadowed)
    await eventually(lambda: REGISTRY.get_sample_value("triptych_routing_revision") == evidence.routing.revision)
    call = pb_grpc.ClassificationServiceStub(gateway.channel).ClassifyStream(timeout=30)
    for number in range(100):
        await call.write(pb.ClassifyStreamRequest(frame=number, image=Image(content=b"a"), model="other"))
        await call.read()
    await call.done_writing()
    await eventually(lambda: len(evidence.told.predictions) == 100)

    assert abs(len(evidence.told.shadows) - 30) <= 3 * 21**0.5


async def test_no_shadows_where_none_may_be(behind: Neighbours, evidence: FakeEvidence) -> None:
    """With a limit of none, requests are answered and none is shown."""
    async with running_gateway(behind, experiments_target=evidence.target, max_shadows=0) as gateway:
        await _ask(gateway)
        await eventually(lambda: bool(evidence.told.predictions))

    assert (0, 1) == (len(evidence.told.shadows), len(behind.inference.requests))


async def test_the_end_does_not_wait_for_shadows(behind: Neighbours, evidence: FakeEvidence) -> None:
    """One that hangs is ended with the process, and nothing of it is told."""
    async with running_gateway(behind, experiments_target=evidence.target) as gateway:
        behind.inference.answer = _second(_holds)
        await _ask(gateway)
        await eventually(lambda: bool(_of_version(behind, "2")))
        ended = time.monotonic()

    assert time.monotonic() - ended < 4
    assert (1, 0) == (len(evidence.told.predictions), len(evidence.told.shadows))
