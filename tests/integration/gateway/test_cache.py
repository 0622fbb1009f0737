"""Equal images are answered once: from the cache, or by the computation that is under way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours, failing_item
from fakes.scripted import field_of, reason_of
from fakes.servers import eventually

from servicekit.errors import InvalidArgument, Reason
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Classification, Image


@pytest.fixture
async def gateway(behind: Neighbours) -> AsyncIterator[Gateway]:
    """A gateway with a cache, ready."""
    async with running_gateway(behind, result_cache_bytes=2**20) as running:
        yield running


async def _classify(gateway: Gateway, images: str = "a", **values: Any) -> list[Classification]:
    request = pb.ClassifyRequest(images=[Image(content=letter.encode()) for letter in images], **values)
    response = await pb_grpc.ClassificationServiceStub(gateway.channel).Classify(request, timeout=5)
    return list(response.results)


async def test_an_image_is_computed_once(gateway: Gateway, behind: Neighbours) -> None:
    """The second answer is the first one's, says so, and has an id of its own; no service is asked."""
    (first,), (second,) = await _classify(gateway), await _classify(gateway)

    assert (False, True) == (first.cached, second.cached)
    assert list(first.predictions) == list(second.predictions)
    assert (first.model, first.version) == (second.model, second.version)
    assert first.prediction_id != second.prediction_id
    assert [1, 1, 1] == [len(each.requests) for each in behind.all]


async def test_http_and_grpc_share_the_cache(gateway: Gateway) -> None:
    """What came over gRPC is remembered for HTTP, in JSON too."""
    await _classify(gateway)
    response = await gateway.client.post("/api/v1/classify", content=b"a", headers={"Content-Type": "image/jpeg"})

    assert True is response.json()["cached"]


@pytest.mark.parametrize("other", [{"images": "b"}, {"model": "other"}, {"model": "other", "version": "2"}])
async def test_another_question_is_computed(gateway: Gateway, behind: Neighbours, other: dict[str, Any]) -> None:
    """Another image, model or version has to be computed."""
    await _classify(gateway)
    (answer,) = await _classify(gateway, **other)

    assert not answer.cached
    assert 2 == len(behind.preprocess.requests)


async def test_a_narrower_question_is_answered_from_a_wider_answer(gateway: Gateway) -> None:
    """Fewer predictions are the beginning of more."""
    (wide,) = await _classify(gateway, top_k=5)
    (narrow,) = await _classify(gateway, top_k=2)

    assert narrow.cached
    assert list(wide.predictions)[:2] == list(narrow.predictions)


async def test_a_narrower_answer_that_comes_later_does_not_shorten_a_wider_one(
    gateway: Gateway, behind: Neighbours
) -> None:
    """Two questions about one image at the same time: whichever is done last, the longer answer is remembered."""
    release = asyncio.Event()

    async def holds_the_first(_request: Any, response: Any) -> Any:
        if 1 == len(behind.preprocess.requests):
            await release.wait()
        return response

    behind.preprocess.answer = holds_the_first
    narrow = asyncio.create_task(_classify(gateway, top_k=1))
    await eventually(lambda: bool(behind.preprocess.requests), 5)
    (wide,) = await _classify(gateway, top_k=5)
    release.set()
    await narrow
    (again,) = await _classify(gateway, top_k=5)

    assert again.cached
    assert list(wide.predictions) == list(again.predictions)


async def test_errors_are_not_remembered(gateway: Gateway, behind: Neighbours) -> None:
    """What failed is tried anew."""
    behind.preprocess.answer = failing_item(0, InvalidArgument("Damaged.", reason=Reason.IMAGE_CORRUPT))
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError):
            await _classify(gateway)

    assert 2 == len(behind.preprocess.requests)


async def test_images_in_flight_are_shared(gateway: Gateway, behind: Neighbours) -> None:
    """Ten callers with the same image wait for one computation."""
    release = asyncio.Event()

    async def holds(_request: Any, response: Any) -> Any:
        await release.wait()
        return response

    behind.preprocess.answer = holds
    calls = [asyncio.create_task(_classify(gateway)) for _ in range(10)]
    await eventually(lambda: bool(behind.preprocess.requests), 5)
    release.set()
    answers = [answer for (answer,) in await asyncio.gather(*calls)]

    assert 10 == len({answer.prediction_id for answer in answers})
    assert 1 == sum(len(request.images) for request in behind.preprocess.requests)


async def test_a_bad_image_among_known_ones_is_named(gateway: Gateway, behind: Neighbours) -> None:
    """The field path counts from the call, though only the unknown image was sent on."""
    await _classify(gateway, "ab")
    behind.preprocess.answer = failing_item(
        0, InvalidArgument("Damaged.", reason=Reason.IMAGE_CORRUPT, field="content")
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _classify(gateway, "abx")

    assert ("IMAGE_CORRUPT", "images[2].content") == (reason_of(caught.value), field_of(caught.value))
