"""The gateway's gRPC side: the chain, its errors, and what survives of a request when a service goes away."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours, failing_item, model, raising
from fakes.scripted import STREAM, field_of, reason_of
from fakes.servers import eventually
from prometheus_client import REGISTRY

from servicekit.errors import Code, DeadlineExceeded, InvalidArgument, Reason, ResourceExhausted, Unavailable
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Classification, Image
from triptych.inference.v1 import model_pb2 as inference_model_pb2


@pytest.fixture
async def gateway(behind: Neighbours) -> AsyncIterator[Gateway]:
    """A gateway in front of the three services, ready, without HTTP."""
    async with running_gateway(behind, serve_http=False) as running:
        yield running


def _request(images: str = "a", **values: Any) -> pb.ClassifyRequest:
    return pb.ClassifyRequest(images=[Image(content=letter.encode()) for letter in images], **values)


async def _classify(gateway: Gateway, images: str = "a", timeout_s: float = 5, **values: Any) -> list[Classification]:
    stub = pb_grpc.ClassificationServiceStub(gateway.channel)
    return list((await stub.Classify(_request(images, **values), timeout=timeout_s)).results)


async def _failure(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, 10)
    return caught.value


def _metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def _holds(_request: Any, _response: Any) -> Any:
    await asyncio.Event().wait()


async def test_images_are_answered_in_order(gateway: Gateway) -> None:
    """Every image has its own result, in the order of the request."""
    results = await _classify(gateway, "xyz")

    assert ["x", "y", "z"] == [result.predictions[0].label for result in results]


async def test_an_answer_says_how_it_came_about(gateway: Gateway) -> None:
    """Model, version and every stage's time stand in the answer."""
    (result,) = await _classify(gateway)
    timing = result.timing

    assert ("tiny", "1", 3.0, 1.0, 2.0) == (
        result.model,
        result.version,
        timing.decode_ms,
        timing.queue_ms,
        timing.compute_ms,
    )
    assert timing.total_ms >= timing.preprocess_ms + timing.inference_ms + timing.postprocess_ms - 0.01


async def test_prediction_ids_are_unique(gateway: Gateway) -> None:
    """Each result has a UUID of version 7 of its own."""
    ids = [result.prediction_id for _ in range(2) for result in await _classify(gateway, "ab")]

    assert (4, {7}) == (len(set(ids)), {uuid.UUID(text).version for text in ids})


async def test_options_reach_the_services(gateway: Gateway, behind: Neighbours) -> None:
    """Model, version, top_k and min_score arrive where they count."""
    await _classify(gateway, model="other", version="2", top_k=2, min_score=0.25)
    ranked = behind.postprocess.requests[-1]

    assert ("other", "2", 2, 0.25) == (
        behind.inference.requests[-1].model,
        behind.inference.requests[-1].version,
        ranked.options[0].top_k,
        ranked.options[0].min_score,
    )


async def test_the_callers_ids_reach_every_service(gateway: Gateway, behind: Neighbours) -> None:
    """Request id and trace are the same on every hop."""
    stub = pb_grpc.ClassificationServiceStub(gateway.channel)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await stub.Classify(_request(), metadata=(("x-request-id", "order-7"), ("traceparent", parent)), timeout=5)

    assert [("order-7", parent)] * 3 == [
        (each.metadata[-1]["x-request-id"], each.metadata[-1]["traceparent"]) for each in behind.all
    ]


async def test_the_time_left_reaches_every_image(gateway: Gateway, behind: Neighbours) -> None:
    """Each image and row carries what is left of the caller's deadline."""
    await _classify(gateway, "ab", timeout_s=3)
    left_ms = [image.time_left_ms for image in behind.preprocess.requests[-1].images]
    left_ms += behind.inference.requests[-1].time_left_ms

    assert all(2000 < each <= 3100 for each in left_ms), left_ms


BAD: list[tuple[str, str, str, dict[str, Any]]] = [
    ("INVALID_ARGUMENT", "IMAGES_MISSING", "images", {"images": ""}),
    ("INVALID_ARGUMENT", "IMAGES_TOO_MANY", "images", {"images": "a" * 33}),
    ("INVALID_ARGUMENT", "FIELD_INVALID", "top_k", {"top_k": 0}),
    ("INVALID_ARGUMENT", "FIELD_INVALID", "min_score", {"min_score": 2}),
    ("INVALID_ARGUMENT", "FIELD_INVALID", "version", {"version": "latest"}),
    ("NOT_FOUND", "MODEL_NOT_FOUND", "model", {"model": "huge"}),
    ("NOT_FOUND", "MODEL_NOT_FOUND", "model", {"model": "größer"}),
    ("NOT_FOUND", "MODEL_NOT_FOUND", "model", {"model": "x" * 100_000}),
    ("NOT_FOUND", "MODEL_VERSION_NOT_FOUND", "version", {"version": "9"}),
    ("NOT_FOUND", "MODEL_VERSION_NOT_FOUND", "version", {"version": "9" * 100_000}),
]


@pytest.mark.parametrize(("code", "reason", "field", "values"), BAD)
async def test_a_bad_request_is_explained(
    gateway: Gateway, behind: Neighbours, code: str, reason: str, field: str, values: dict[str, Any]
) -> None:
    """What can be seen at the door is refused there, and no service is asked."""
    got = await _failure(_classify(gateway, **values))

    assert (code, reason, field, []) == (got.code().name, reason_of(got), field_of(got), behind.preprocess.requests)


async def test_a_bad_image_is_named_by_its_place(gateway: Gateway, behind: Neighbours) -> None:
    """The field path of an image's fault counts from the request."""
    fault = InvalidArgument("Damaged.", reason=Reason.IMAGE_CORRUPT, field="content")
    behind.preprocess.answer = failing_item(3, fault)
    got = await _failure(_classify(gateway, "abcde"))

    assert ("IMAGE_CORRUPT", "images[3].content", "Damaged.") == (reason_of(got), field_of(got), got.details())


@pytest.mark.parametrize("tier", [0, 1, 2], ids=["preprocess", "inference", "postprocess"])
@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        ("RESOURCE_EXHAUSTED", "QUEUE_FULL", ResourceExhausted("Full.", retry_after_s=0.5)),
        ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", DeadlineExceeded("Late.")),
        ("INTERNAL", "INTERNAL", RuntimeError("secret")),
    ],
)
async def test_a_services_error_is_the_callers(
    gateway: Gateway, behind: Neighbours, tier: int, code: str, reason: str, error: Exception
) -> None:
    """Code and reason pass through the gateway, and nothing else does."""
    behind.all[tier].answer = raising(error)
    got = await _failure(_classify(gateway))

    assert (code, reason, False) == (got.code().name, reason_of(got), "secret" in str(got))


@pytest.mark.parametrize("tier", [0, 1, 2], ids=["preprocess", "inference", "postprocess"])
async def test_shed_work_is_not_tried_again(gateway: Gateway, behind: Neighbours, tier: int) -> None:
    """A service that is full is asked once."""
    behind.all[tier].answer = raising(ResourceExhausted("Full."))
    await _failure(_classify(gateway))

    assert 1 == len(behind.all[tier].requests)


@pytest.mark.parametrize("tier", [0, 1, 2], ids=["preprocess", "inference", "postprocess"])
async def test_a_wrong_number_of_outcomes_is_internal(gateway: Gateway, behind: Neighbours, tier: int) -> None:
    """An answer for another number of images never reaches a caller."""

    async def short(_request: Any, response: Any) -> Any:
        del response.outcomes[0]
        return response

    behind.all[tier].answer = short
    got = await _failure(_classify(gateway, "ab"))

    assert (grpc.StatusCode.INTERNAL, "INTERNAL") == (got.code(), reason_of(got))


async def test_a_caller_that_leaves_stops_the_work(gateway: Gateway, behind: Neighbours) -> None:
    """Cancelling the call cancels the hop that is in work."""
    behind.inference.answer = _holds
    call = asyncio.ensure_future(_classify(gateway))
    await eventually(lambda: bool(behind.inference.requests))
    call.cancel()

    await eventually(lambda: behind.inference.cancelled == 1)


async def test_a_deadline_stops_the_work(gateway: Gateway, behind: Neighbours) -> None:
    """When time is up the caller is told and the hop in work is cancelled."""
    behind.preprocess.answer = _holds
    got = await _failure(_classify(gateway, timeout_s=0.3))
    await eventually(lambda: behind.preprocess.cancelled == 1)

    assert grpc.StatusCode.DEADLINE_EXCEEDED == got.code()


@pytest.mark.parametrize("tier", [0, 1, 2], ids=["preprocess", "inference", "postprocess"])
async def test_a_request_survives_a_restart(gateway: Gateway, behind: Neighbours, tier: int) -> None:
    """A request in work while its service restarts is held and answered."""
    behind.all[tier].answer = _holds
    call = asyncio.ensure_future(_classify(gateway))
    await eventually(lambda: bool(behind.all[tier].requests))
    await behind.all[tier].stop()
    await asyncio.sleep(0.2)  # long enough for the gateway to try at once, and fail, if it did not wait
    behind.all[tier].answer = behind.postprocess.answer if tier != 2 else behind.preprocess.answer
    await behind.all[tier].start()

    assert "a" == (await call)[0].predictions[0].label


async def test_a_held_request_is_given_up_in_time(behind: Neighbours) -> None:
    """A service that stays away fails the request after the time to hold it, not after its deadline."""
    async with running_gateway(behind, serve_http=False, hold_s=0.3) as gateway:
        behind.inference.answer = _holds
        call = asyncio.ensure_future(_classify(gateway, timeout_s=30))
        await eventually(lambda: bool(behind.inference.requests))
        await behind.inference.stop()
        start = time.perf_counter()
        got = await _failure(call)

    assert grpc.StatusCode.UNAVAILABLE == got.code()
    assert time.perf_counter() - start < 3


async def test_an_item_that_is_unavailable_is_tried_again(gateway: Gateway, behind: Neighbours) -> None:
    """When Triton, behind the inference service, went away, the call is made once more too."""

    async def once(request: Any, response: Any) -> Any:
        if len(behind.inference.requests) > 1:
            return response
        return await failing_item(0, Unavailable("The model server is away."))(request, response)

    behind.inference.answer = once
    before = _metric("triptych_gateway_retries_total", tier="inference", outcome="succeeded")

    assert "a" == (await _classify(gateway))[0].predictions[0].label
    assert 1 == _metric("triptych_gateway_retries_total", tier="inference", outcome="succeeded") - before


async def test_at_most_two_attempts(gateway: Gateway, behind: Neighbours) -> None:
    """A service that says UNAVAILABLE each time is asked twice."""
    behind.inference.answer = raising(Unavailable("Away."))
    got = await _failure(_classify(gateway))

    assert (grpc.StatusCode.UNAVAILABLE, 2) == (got.code(), len(behind.inference.requests))


@pytest.mark.parametrize("tier", [0, 1, 2], ids=["preprocess", "inference", "postprocess"])
async def test_without_a_service_the_answer_is_fast(behind: Neighbours, tier: int) -> None:
    """Readiness turns false within two seconds, new work is refused at once, and it all comes back by itself."""
    async with running_gateway(behind, serve_http=False, probe_interval_s=0.25) as gateway:
        await behind.all[tier].stop()
        await gateway.becomes(ready=False, within_s=2)
        start = time.perf_counter()
        got = await _failure(_classify(gateway))
        took_s = time.perf_counter() - start
        await behind.all[tier].start()
        await gateway.becomes(ready=True, within_s=3)

        assert (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE") == (got.code(), reason_of(got))
        assert took_s < 0.5
        assert 1 == len(await _classify(gateway))


async def test_an_unready_service_is_not_asked(gateway: Gateway, behind: Neighbours) -> None:
    """A service that says it is not ready makes the gateway unready."""
    await behind.postprocess.readiness.set("it", "Starting.")
    await gateway.becomes(ready=False)

    assert {"postprocess"} == gateway.readiness.failing().keys()


async def test_a_model_that_is_not_loaded_makes_the_gateway_unready(gateway: Gateway, behind: Neighbours) -> None:
    """The default model must be there; the sentence says why it is not."""
    behind.inference.models = [model("tiny", state=inference_model_pb2.MODEL_STATE_UNAVAILABLE)]
    await gateway.becomes(ready=False)

    assert {"triton": "No model server has loaded it."} == gateway.readiness.failing()


async def test_too_many_images_in_work_are_refused(behind: Neighbours) -> None:
    """Images above the limit are refused at once, and the room comes back."""
    async with running_gateway(behind, serve_http=False, max_in_flight=3) as gateway:
        behind.preprocess.answer = _holds
        first = asyncio.ensure_future(_classify(gateway, "ab"))
        await eventually(lambda: bool(behind.preprocess.requests))
        got = await _failure(_classify(gateway, "ab"))
        first.cancel()
        await eventually(lambda: behind.preprocess.cancelled == 1)
        await eventually(lambda: _metric("triptych_in_flight_images") == 0)

    assert ("RESOURCE_EXHAUSTED", "2 images are in work, and at most 3 may be.") == (got.code().name, got.details())


COUNTED: list[tuple[str, str, dict[str, Any], Callable[[Neighbours], None]]] = [
    ("OK", "", {}, lambda behind: None),
    ("INVALID_ARGUMENT", "FIELD_INVALID", {"top_k": 0}, lambda behind: None),
    ("INTERNAL", "INTERNAL", {}, lambda behind: setattr(behind.preprocess, "answer", raising(RuntimeError()))),
    (
        "DEADLINE_EXCEEDED",
        "DEADLINE_EXCEEDED",
        {"timeout_s": 0.6},
        lambda behind: setattr(behind.preprocess, "answer", _holds),
    ),
    (
        "DEADLINE_EXCEEDED",
        "DEADLINE_SHORT",  # whoever waits less than that misses nothing that was promised
        {"timeout_s": 0.2},
        lambda behind: setattr(behind.preprocess, "answer", _holds),
    ),
]


@pytest.mark.parametrize(("code", "reason", "values", "prepare"), COUNTED)
async def test_requests_are_counted_by_how_they_ended(
    gateway: Gateway,
    behind: Neighbours,
    code: str,
    reason: str,
    values: dict[str, Any],
    prepare: Callable[[Neighbours], None],
) -> None:
    """One request is one count, under its transport, code and reason."""
    prepare(behind)
    total = "triptych_requests_total"

    def counted() -> float:
        return _metric(total, transport="grpc", code=code, reason=reason)

    before = counted()
    await asyncio.gather(_classify(gateway, **values), return_exceptions=True)
    await eventually(lambda: counted() > before)

    assert 1 == counted() - before


async def _read(call: Any) -> pb.ClassifyStreamResponse:
    answer = await call.read()
    assert isinstance(answer, pb.ClassifyStreamResponse)
    return answer


async def _stream(gateway: Gateway, *frames: pb.ClassifyStreamRequest) -> list[pb.ClassifyStreamResponse]:
    call = pb_grpc.ClassificationServiceStub(gateway.channel).ClassifyStream(timeout=10)
    answers = []
    for frame in frames:
        await call.write(frame)
        answers.append(await _read(call))
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    return answers


def _frame(number: int, content: bytes = b"a", **values: Any) -> pb.ClassifyStreamRequest:
    return pb.ClassifyStreamRequest(frame=number, image=Image(content=content), **values)


async def test_frames_are_answered(gateway: Gateway) -> None:
    """Each frame's answer repeats its number."""
    answers = await _stream(gateway, _frame(7, b"x"), _frame(3, b"y"))

    assert [(7, "x", 0), (3, "y", 0)] == [
        (each.frame, each.classification.predictions[0].label, each.dropped_count) for each in answers
    ]


async def test_a_bad_frame_does_not_end_the_stream(gateway: Gateway) -> None:
    """A frame at fault is answered with its error, and the next one with its labels."""
    bad, good = await _stream(gateway, _frame(1, b""), _frame(2))

    assert (Code.INVALID_ARGUMENT, "IMAGE_EMPTY", "image.content") == (
        bad.error.code,
        bad.error.reason,
        bad.error.field,
    )
    assert good.HasField("classification")


async def test_a_frames_fault_found_later_is_named(gateway: Gateway, behind: Neighbours) -> None:
    """The field of a fault that preprocess found is the frame's own."""
    fault = InvalidArgument("Damaged.", reason=Reason.IMAGE_CORRUPT, field="content")
    behind.preprocess.answer = failing_item(0, fault)
    (answer,) = await _stream(gateway, _frame(1))

    assert "image.content" == answer.error.field


async def test_the_newest_frame_wins(gateway: Gateway, behind: Neighbours) -> None:
    """While a frame is in work the newest of the waiting ones is kept; the answer tells how many were dropped."""
    goes_on = asyncio.Event()

    async def waits(_request: Any, response: Any) -> Any:
        await goes_on.wait()
        return response

    behind.preprocess.answer = waits
    call = pb_grpc.ClassificationServiceStub(gateway.channel).ClassifyStream(timeout=10)
    await call.write(_frame(1))
    await eventually(lambda: bool(behind.preprocess.requests))
    for number in (2, 3, 4):
        await call.write(_frame(number))
    # A later call on the same connection is answered only after the frames have arrived.
    await pb_grpc.ClassificationServiceStub(gateway.channel).ListModels(pb.ListModelsRequest())
    await asyncio.sleep(0.05)
    goes_on.set()
    answers = [await _read(call), await _read(call)]
    await call.done_writing()

    assert [(1, 0), (4, 2)] == [(each.frame, each.dropped_count) for each in answers]


async def test_a_stream_ends_when_the_gateway_does(gateway: Gateway) -> None:
    """An open stream does not hold the drain: it ends with UNAVAILABLE, so that the caller opens it elsewhere."""
    call = pb_grpc.ClassificationServiceStub(gateway.channel).ClassifyStream(timeout=10)
    await call.write(_frame(1))
    await _read(call)
    gateway.draining.set()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()

    assert grpc.StatusCode.UNAVAILABLE is caught.value.code()


async def test_a_stream_ends_with_malformed_bytes(gateway: Gateway) -> None:
    """Bytes that are no frame end the stream with INVALID_ARGUMENT, not with success."""
    method: Any = gateway.channel.stream_stream(STREAM)
    call = method(timeout=5)
    await call.write(b"\xff\xff\xff")
    got = await _failure(call.read())

    assert (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED") == (got.code(), reason_of(got))


async def test_a_stream_that_is_left_stops_the_work(gateway: Gateway, behind: Neighbours) -> None:
    """A caller that leaves cancels the frame in work."""
    behind.inference.answer = _holds
    call = pb_grpc.ClassificationServiceStub(gateway.channel).ClassifyStream()
    await call.write(_frame(1))
    await eventually(lambda: bool(behind.inference.requests))
    call.cancel()

    await eventually(lambda: behind.inference.cancelled == 1)


async def test_models_are_listed(gateway: Gateway) -> None:
    """Models come sorted, with the default one marked."""
    response = await pb_grpc.ClassificationServiceStub(gateway.channel).ListModels(pb.ListModelsRequest())

    assert [("other", False), ("tiny", True)] == [(each.name, each.default) for each in response.models]


async def test_models_are_listed_in_pages(gateway: Gateway) -> None:
    """Every model comes once, page by page, and the last page has no token."""
    stub = pb_grpc.ClassificationServiceStub(gateway.channel)
    first = await stub.ListModels(pb.ListModelsRequest(page_size=1))
    second = await stub.ListModels(pb.ListModelsRequest(page_size=1, page_token=first.next_page_token))

    assert (["other", "tiny"], "") == (
        [each.name for each in (*first.models, *second.models)],
        second.next_page_token,
    )


@pytest.mark.parametrize("size", [-1, 1001])
async def test_a_page_has_a_size(gateway: Gateway, size: int) -> None:
    """A page size out of range is refused with its limits."""
    stub = pb_grpc.ClassificationServiceStub(gateway.channel)
    got = await _failure(stub.ListModels(pb.ListModelsRequest(page_size=size)))

    assert ("FIELD_INVALID", "page_size") == (reason_of(got), field_of(got))


@pytest.mark.parametrize(("reason", "name"), [("FIELD_MISSING", ""), ("MODEL_NOT_FOUND", "huge")])
async def test_an_unknown_model_is_not_described(gateway: Gateway, reason: str, name: str) -> None:
    """GetModel needs the name of a model that is there."""
    stub = pb_grpc.ClassificationServiceStub(gateway.channel)
    got = await _failure(stub.GetModel(pb.GetModelRequest(model=name)))

    assert (reason, "model") == (reason_of(got), field_of(got))


async def test_live_models_are_shown(gateway: Gateway) -> None:
    """The metric names every version that takes requests, with its backend."""
    assert 1.0 == _metric("triptych_model_info", model="tiny", version="1", backend="openvino", default="true")
