"""Callers that share messages to the services, and what they must not notice of each other."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbour, Neighbours, failing_rows, first_bytes, honest, raising
from fakes.scripted import field_of, reason_of
from fakes.servers import eventually

from servicekit.errors import InvalidArgument, Reason, ResourceExhausted
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Image

tiers = pytest.mark.parametrize("tier", [0, 1, 2], ids=["preprocess", "inference", "postprocess"])


class _Gate:
    """Stands in front of a service and lets message after message pass."""

    def __init__(self, neighbour: Neighbour) -> None:
        self.then = neighbour.answer
        self._neighbour = neighbour
        self._passing = asyncio.Semaphore(0)
        neighbour.answer = self

    async def __call__(self, request: Any, response: Any) -> Any:
        """Holds a message until it may pass."""
        await self._passing.acquire()
        return await self.then(request, response)

    async def holds(self, messages: int) -> None:
        """Waits until that many messages have come."""
        await eventually(lambda: len(self._neighbour.requests) == messages)

    def lets_pass(self, messages: int = 1) -> None:
        """Opens for some messages."""
        for _ in range(messages):
            self._passing.release()


@pytest.fixture
async def gateway(behind: Neighbours, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """A gateway that sends one message at a time to each service, however long that takes."""
    monkeypatch.setattr("gateway.coalescer.PATIENCE_S", 1000.0)
    async with running_gateway(behind, serve_http=False, max_messages=1, max_message_images=8) as running:
        yield running


def _asks(gateway: Gateway, images: str, timeout_s: float = 10, request_id: str = "", **values: Any) -> Any:
    """Begins a call with one image per letter."""
    request = pb.ClassifyRequest(images=[Image(content=letter.encode()) for letter in images], **values)
    metadata = (("x-request-id", request_id),) if request_id else None
    return pb_grpc.ClassificationServiceStub(gateway.channel).Classify(request, timeout=timeout_s, metadata=metadata)


async def _waits(gateway: Gateway, tier: int, images: int) -> None:
    """Waits until that many images wait for their turn at a service."""
    hops: list[Any] = [gateway.hops.preprocess, gateway.hops.inference, gateway.hops.postprocess]
    waiting = hops[tier]._coalescer._waiting
    await eventually(lambda: images == sum(map(len, waiting.values())))


async def _labels(call: Any) -> str:
    return "".join(result.predictions[0].label for result in (await call).results)


async def _failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def _messages(neighbour: Neighbour) -> list[bytes]:
    return [first_bytes(request) for request in neighbour.requests]


@tiers
async def test_callers_share_messages(gateway: Gateway, behind: Neighbours, tier: int) -> None:
    """While a message is under way the images of other callers gather and go together; everybody gets their own."""
    gate = _Gate(behind.all[tier])
    calls = [_asks(gateway, "a")]
    await gate.holds(1)
    calls += [_asks(gateway, letter) for letter in "bcdefghij"]
    await _waits(gateway, tier, 9)
    gate.lets_pass(3)

    assert list("abcdefghij") == [await _labels(call) for call in calls]
    assert [1, 8, 1] == [len(message) for message in _messages(behind.all[tier])]


async def test_when_idle_nobody_waits(gateway: Gateway, behind: Neighbours) -> None:
    """Calls one after the other have messages of their own."""
    assert "abc" == "".join([await _labels(_asks(gateway, letter)) for letter in "abc"])
    assert [[b"a", b"b", b"c"]] * 3 == [_messages(each) for each in behind.all]


async def test_every_instance_finds_work_waiting(behind: Neighbours) -> None:
    """To a model of two instances three messages are under way: one more than are computed."""
    behind.inference.models[0].versions[0].instances = 2
    gate = _Gate(behind.inference)
    async with running_gateway(behind, serve_http=False, max_messages=1) as gateway:
        calls = [asyncio.ensure_future(_asks(gateway, "a"))]
        for messages in (1, 2, 3):
            await gate.holds(messages)
            calls.append(asyncio.ensure_future(_asks(gateway, "a")))
        await eventually(lambda: 4 == len(behind.preprocess.requests))
        assert 3 == len(behind.inference.requests)
        gate.lets_pass(4)
        await asyncio.gather(*calls)


@tiers
async def test_a_large_call_comes_back_in_order(gateway: Gateway, behind: Neighbours, tier: int) -> None:
    """Images above the limit of a message go in several, mixed with those of others."""
    gate = _Gate(behind.all[tier])
    first = _asks(gateway, "a")
    await gate.holds(1)
    large = _asks(gateway, "bcdefghijklm")
    await _waits(gateway, tier, 12)
    small = _asks(gateway, "no")
    await _waits(gateway, tier, 14)
    gate.lets_pass(3)

    assert ["a", "bcdefghijklm", "no"] == [await _labels(call) for call in (first, large, small)]
    assert [b"a", b"bcdefghi", b"jklmno"] == _messages(behind.all[tier])


@tiers
async def test_a_bad_image_is_its_callers_alone(gateway: Gateway, behind: Neighbours, tier: int) -> None:
    """A fault in a shared message fails the call it belongs to, at its own place there, and no other."""
    gate = _Gate(behind.all[tier])
    gate.then = failing_rows(b"!", InvalidArgument("Damaged.", reason=Reason.IMAGE_CORRUPT, field="content"))
    first = _asks(gateway, "a")
    await gate.holds(1)
    good, bad, worse, last = [_asks(gateway, images) for images in ("bc", "d!e", "!", "f")]
    await _waits(gateway, tier, 7)
    gate.lets_pass(2)
    faults = [await _failure(bad), await _failure(worse)]

    assert ["a", "bc", "f"] == [await _labels(call) for call in (first, good, last)]
    assert [("IMAGE_CORRUPT", "images[1].content"), ("IMAGE_CORRUPT", "images[0].content")] == [
        (reason_of(fault), field_of(fault)) for fault in faults
    ]
    assert [1, 7] == [len(message) for message in _messages(behind.all[tier])]


@tiers
async def test_a_refused_message_is_refused_to_all(gateway: Gateway, behind: Neighbours, tier: int) -> None:
    """What befell the message is told to everybody in it, and to nobody after it."""
    gate = _Gate(behind.all[tier])
    first = _asks(gateway, "a")
    await gate.holds(1)
    calls = [_asks(gateway, letter) for letter in "bcd"]
    await _waits(gateway, tier, 3)
    gate.lets_pass()
    await gate.holds(2)
    gate.then = raising(ResourceExhausted("Full.", retry_after_s=0.5))
    gate.lets_pass()
    refusals = [await _failure(call) for call in calls]
    gate.then = honest
    gate.lets_pass()

    assert ["QUEUE_FULL"] * 3 == [reason_of(refusal) for refusal in refusals]
    assert ["a", "e"] == [await _labels(call) for call in (first, _asks(gateway, "e"))]


async def test_options_stay_each_callers_own(gateway: Gateway, behind: Neighbours) -> None:
    """In a shared message every row has its caller's top_k and min_score."""
    gate = _Gate(behind.postprocess)
    first = _asks(gateway, "a")
    await gate.holds(1)
    calls = []
    for waiting, (top_k, min_score) in enumerate([(1, 0.5), (2, 0.25), (3, 0)], start=1):
        calls.append(_asks(gateway, "b", top_k=top_k, min_score=min_score))
        await _waits(gateway, 2, waiting)
    gate.lets_pass(2)
    await first

    assert [1, 2, 3] == [len((await call).results[0].predictions) for call in calls]
    assert [(1, 0.5), (2, 0.25), (3, 0)] == [
        (options.top_k, options.min_score) for options in behind.postprocess.requests[-1].options
    ]


@tiers
async def test_other_models_have_other_messages(gateway: Gateway, behind: Neighbours, tier: int) -> None:
    """Images for different models, or for different versions from the model on, never share one."""
    gate = _Gate(behind.all[tier])
    first = _asks(gateway, "a")
    await gate.holds(1)
    calls = [_asks(gateway, "b"), _asks(gateway, "c", model="other", version="2"), _asks(gateway, "d")]
    await _waits(gateway, tier, 3)
    gate.lets_pass(3)

    assert ["a", "b", "c", "d"] == [await _labels(call) for call in (first, *calls)]
    assert {("tiny", 1), ("tiny", 2), ("other", 1)} == {
        (request.model, len(first_bytes(request))) for request in behind.all[tier].requests
    }


@tiers
async def test_a_short_deadline_ends_no_companions_call(gateway: Gateway, behind: Neighbours, tier: int) -> None:
    """Of two callers in a message the hurried one is told at its deadline; the other one gets its answer."""
    gate = _Gate(behind.all[tier])
    first = _asks(gateway, "a")
    await gate.holds(1)
    hurried, patient = _asks(gateway, "b", timeout_s=1), _asks(gateway, "c")
    await _waits(gateway, tier, 2)
    gate.lets_pass()
    await gate.holds(2)
    late = await _failure(hurried)
    gate.lets_pass()

    assert ["a", "c"] == [await _labels(call) for call in (first, patient)]
    assert (grpc.StatusCode.DEADLINE_EXCEEDED, {b"b", b"c"}, 0) == (
        late.code(),
        {bytes([byte]) for byte in _messages(behind.all[tier])[1]},
        behind.all[tier].cancelled,
    )


async def test_every_image_has_its_own_callers_time(gateway: Gateway, behind: Neighbours) -> None:
    """In a shared message what is left of each deadline stands beside the image it belongs to."""
    gate = _Gate(behind.preprocess)
    first = _asks(gateway, "a")
    await gate.holds(1)
    calls = [_asks(gateway, "b", timeout_s=5), _asks(gateway, "c", timeout_s=9)]
    await _waits(gateway, 0, 2)
    gate.lets_pass(2)
    await asyncio.gather(first, *calls)
    left_ms = {image.content: image.time_left_ms for image in behind.preprocess.requests[1].images}

    assert left_ms[b"b"] <= 5100
    assert 5100 < left_ms[b"c"] <= 9100


@tiers
async def test_a_caller_that_leaves_takes_nobody_along(gateway: Gateway, behind: Neighbours, tier: int) -> None:
    """A message goes on for those who stay, and ends when the last one leaves."""
    gate = _Gate(behind.all[tier])
    first = _asks(gateway, "a")
    await gate.holds(1)
    leavers = [_asks(gateway, "b"), _asks(gateway, "c")]
    await _waits(gateway, tier, 2)
    gate.lets_pass()
    await gate.holds(2)
    leavers[0].cancel()
    patient = _asks(gateway, "d")
    await _waits(gateway, tier, 1)
    before = behind.all[tier].cancelled
    leavers[1].cancel()
    await eventually(lambda: behind.all[tier].cancelled == 1)
    gate.lets_pass()

    assert 0 == before
    assert ["a", "d"] == [await _labels(call) for call in (first, patient)]


async def test_request_ids_are_joined(gateway: Gateway, behind: Neighbours) -> None:
    """A shared message is sent under the ids of all its callers, and each caller is told its own."""
    gate = _Gate(behind.preprocess)
    first = _asks(gateway, "a", request_id="zero")
    await gate.holds(1)
    calls = []
    for waiting, name in enumerate(["one", "two", "three"], start=1):
        calls.append(_asks(gateway, "b", request_id=name))
        await _waits(gateway, 0, waiting)
    gate.lets_pass(2)
    await asyncio.gather(first, *calls)

    assert ["zero", "one,two,three"] == [metadata["x-request-id"] for metadata in behind.preprocess.metadata]
    assert ["one", "two", "three"] == [dict(await call.trailing_metadata())["x-request-id"] for call in calls]


async def test_a_slow_message_holds_up_nobody(behind: Neighbours, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its patience a message does not keep others from being sent."""
    monkeypatch.setattr("gateway.coalescer.PATIENCE_S", 0.01)
    gate = _Gate(behind.preprocess)
    async with running_gateway(behind, serve_http=False, max_messages=1) as gateway:
        slow = _asks(gateway, "a")
        await gate.holds(1)
        behind.preprocess.answer = honest
        assert "b" == await _labels(_asks(gateway, "b"))
        gate.lets_pass()

        assert "a" == await _labels(slow)


async def test_a_message_that_a_service_refuses_is_no_callers_fault(behind: Neighbours) -> None:
    """A service with a lower limit than the gateway's messages is a mistake of the installation."""
    behind.preprocess.answer = raising(InvalidArgument("A call carries 1 to 4 images; this one has 8.", field="images"))
    async with running_gateway(behind, serve_http=False) as gateway:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.ClassificationServiceStub(gateway.channel).Classify(
                pb.ClassifyRequest(images=[Image(content=b"a")]), timeout=5
            )

    assert grpc.StatusCode.INTERNAL is caught.value.code()


async def test_a_frame_is_given_up_when_its_time_is_over(behind: Neighbours) -> None:
    """A video's frame that shares a message with a patient caller does not wait as long as that one."""
    behind.preprocess.answer = _forever
    async with running_gateway(behind, serve_http=False, default_timeout_s=0.3) as gateway:
        stub = pb_grpc.ClassificationServiceStub(gateway.channel)
        patient = asyncio.create_task(
            _awaited(stub.Classify(pb.ClassifyRequest(images=[Image(content=b"a")]), timeout=20))
        )
        call = stub.ClassifyStream(iter([pb.ClassifyStreamRequest(frame=1, image=Image(content=b"b"))]), timeout=20)
        async with asyncio.timeout(10):
            response: Any = await call.read()
        assert "DEADLINE_EXCEEDED" == response.error.reason
        assert not patient.done()
        patient.cancel()


async def _awaited(call: Any) -> Any:
    return await call


async def _forever(_request: Any, _response: Any) -> Any:
    await asyncio.Event().wait()
