"""A call over a link: what gRPC promises of a unary call holds here too."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import grpc
import pytest
from fakes.links import begin, raw_caller
from fakes.scripted import CLASSIFY, SERVICE, Context, Script, ScriptedService, empty, field_of, reason_of
from fakes.servers import eventually, link_target, opened, running_server
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from servicekit import context as request_context
from servicekit.errors import DeadlineExceeded, InvalidArgument, Reason, ResourceExhausted, TriptychError
from servicekit.metrics import RpcMetrics
from servicekit.remote import RemoteMethod
from servicekit.server import GrpcServer
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Classification, Image

MIB = 2**20


@asynccontextmanager
async def _serving(script: Script = empty, **settings: Any) -> AsyncIterator[GrpcServer]:
    async with running_server(ScriptedService(script).register, [SERVICE], **settings) as server:
        yield server


@asynccontextmanager
async def _calling(script: Script = empty, **settings: Any) -> AsyncIterator[grpc.aio.Channel]:
    async with _serving(script, **settings) as server, opened(link_target(server.link_port)) as channel:
        yield channel


async def _classify(channel: grpc.aio.Channel, images: bytes = b"", timeout: float = 5, **options: Any) -> Any:  # noqa: ASYNC109 (the stub's own)
    request = pb.ClassifyRequest(images=[Image(content=images)], **options.pop("request", {}))
    return await pb_grpc.ClassificationServiceStub(channel).Classify(request, timeout=timeout, **options)


async def _raw(channel: grpc.aio.Channel, method: str, request: bytes) -> Any:
    untyped: Any = channel.unary_unary(method)
    return await untyped(request, timeout=5)


async def _failure(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, 10)
    return caught.value


def _raising(error: Exception) -> Script:
    async def script(_request: pb.ClassifyRequest, _context: Context) -> NoReturn:
        raise error

    return script


class Held:
    """Is a script that answers no call before it is told to, and knows how many it holds."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0
        self.goes_on = asyncio.Event()

    async def __call__(self, _request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        """Holds a call."""
        self.begun += 1
        try:
            await self.goes_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return pb.ClassifyResponse()


async def test_a_call_is_answered() -> None:
    """The servicer gets the request, and the caller its answer."""

    async def script(request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        return pb.ClassifyResponse(results=[Classification(model=request.model)])

    async with _calling(script) as channel:
        answer = await _classify(channel, request={"model": "tiny"})

    assert pb.ClassifyResponse(results=[Classification(model="tiny")]) == answer


async def test_answers_find_their_callers() -> None:
    """Calls that share a link, and are answered in another order than they were made, get each its own answer."""

    async def script(request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        await asyncio.sleep((5 - int(request.model)) / 100)
        return pb.ClassifyResponse(results=[Classification(model=request.model)])

    async with _calling(script) as channel:
        answers = await asyncio.gather(*(_classify(channel, request={"model": str(each)}) for each in range(5)))

    assert ["0", "1", "2", "3", "4"] == [answer.results[0].model for answer in answers]


async def test_health_can_be_asked() -> None:
    """The health service is there, for names that are and names that are not."""
    async with _calling() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        got = await _failure(stub.Check(health_pb2.HealthCheckRequest(service="no"), timeout=5))

    assert (health_pb2.HealthCheckResponse.SERVING, grpc.StatusCode.NOT_FOUND) == (answer.status, got.code())


ERRORS = [
    InvalidArgument("top_k must be 1 to 1000; it is 0.", field="top_k"),
    InvalidArgument("Größe: \N{FRAME WITH PICTURE}", reason=Reason.IMAGE_CORRUPT, field="images[3].content"),
    ResourceExhausted("Full.", retry_after_s=0.5),
]


@pytest.mark.parametrize("error", ERRORS, ids=["field", "reason", "retry"])
async def test_our_error_arrives_as_it_was_raised(error: TriptychError, metrics: RpcMetrics) -> None:
    """Code, sentence, reason, field and the advice when to come back are the same on the caller's side."""
    async with _calling(_raising(error)) as channel:
        method: RemoteMethod[Any, Any] = RemoteMethod("scripted", CLASSIFY, channel, metrics)
        with pytest.raises(TriptychError) as caught:
            await method(pb.ClassifyRequest(), 5)

    assert (type(error), vars(error)) == (type(caught.value), vars(caught.value))


async def test_an_unexpected_error_tells_nothing() -> None:
    """What is not ours becomes INTERNAL without a word of its text."""
    async with _calling(_raising(RuntimeError("secret"))) as channel:
        got = await _failure(_classify(channel))

    assert (grpc.StatusCode.INTERNAL, "INTERNAL", False) == (got.code(), reason_of(got), "secret" in str(got))


async def test_an_error_too_long_to_tell_is_told_as_that() -> None:
    """A sentence above the limit of a head fails the call at once, not the link."""
    async with _calling(_raising(InvalidArgument("x" * MIB))) as channel:
        got = [await _failure(_classify(channel)) for _ in range(2)]

    assert [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2 == [each.code() for each in got]


async def test_an_answer_that_cannot_be_written_is_internal() -> None:
    """What fails outside every layer is told, too, and tells nothing."""

    async def script(_request: pb.ClassifyRequest, _context: Context) -> Any:
        return "no message"

    async with _calling(script) as channel:
        got = await _failure(_classify(channel))

    assert (grpc.StatusCode.INTERNAL, "Something went wrong.") == (got.code(), got.details())


async def test_the_handler_knows_who_asks() -> None:
    """Request id and trace arrive."""
    seen: list[request_context.RequestContext | None] = []

    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        seen.append(request_context.current())
        return pb.ClassifyResponse()

    asking = request_context.RequestContext("order-7", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    async with _calling(script) as channel:
        await _classify(channel, metadata=asking.metadata())

    assert [asking] == seen


@pytest.mark.parametrize(("wanted", "effective"), [(3.0, 3.0), (100.0, 20.0)], ids=["the caller's", "shortened"])
async def test_the_handler_knows_how_long_the_caller_waits(wanted: float, effective: float) -> None:
    """The caller's time holds up to the longest allowed."""
    left: list[float] = []

    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        left.append(request_context.time_left_s())
        return pb.ClassifyResponse()

    async with _calling(script, max_timeout_s=20) as channel:
        await _classify(channel, timeout=wanted)

    assert effective - 1 < left[0] <= effective


async def test_the_service_ends_a_call_whose_time_is_up() -> None:
    """The handler is cancelled, and the caller told why, although the caller would wait longer."""
    held = Held()
    async with _calling(held, default_timeout_s=0.1, max_timeout_s=0.1) as channel:
        got = await _failure(_classify(channel, timeout=60))

    assert (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", 1) == (got.code(), reason_of(got), held.cancelled)


async def test_the_caller_ends_a_call_whose_time_is_up(metrics: RpcMetrics) -> None:
    """A service that does not answer in time is DEADLINE_EXCEEDED of our own."""
    held = Held()
    async with _calling(held) as channel:
        method: RemoteMethod[Any, Any] = RemoteMethod("scripted", CLASSIFY, channel, metrics)
        with pytest.raises(DeadlineExceeded):
            await method(pb.ClassifyRequest(), 0.1)

        await eventually(lambda: held.cancelled == 1)


@pytest.mark.parametrize("time_left_ms", [math.nan, -1.0, -math.inf, 0.0])
async def test_a_caller_without_time_gets_no_work_done(time_left_ms: float) -> None:
    """A deadline that is none is one that has passed."""
    service = ScriptedService(Held())
    async with (
        running_server(service.register, [SERVICE]) as server,
        raw_caller(server.link_port) as caller,
    ):
        caller.say(begin(1, CLASSIFY, time_left_ms=time_left_ms))
        head, _ = await caller.hear_of("failure")

    assert grpc.StatusCode.DEADLINE_EXCEEDED.value[0] == head.failure.code


async def test_a_cancelled_call_ends_its_handler() -> None:
    """A caller that leaves stops the work, is counted as CANCELLED, and leaves the other calls alone."""
    held, counted = Held(), RpcMetrics("server", CollectorRegistry())
    async with _calling(held, metrics=counted) as channel:
        leaves, stays = (asyncio.ensure_future(_classify(channel)) for _ in range(2))
        await eventually(lambda: held.begun == 2)
        leaves.cancel()
        await eventually(lambda: held.cancelled == 1)
        held.goes_on.set()
        await stays
    labels = {"grpc_type": "unary", "grpc_service": SERVICE, "grpc_method": "Classify"}
    codes = ("CANCELLED", "OK")

    assert [1, 1] == [
        counted.registry.get_sample_value("grpc_server_handled_total", {**labels, "grpc_code": code}) for code in codes
    ]


async def test_a_caller_that_closes_ends_its_handlers() -> None:
    """Closing the channel fails the calls under way at both ends."""
    held = Held()
    async with _serving(held) as server:
        async with opened(link_target(server.link_port)) as channel:
            call = asyncio.ensure_future(_classify(channel))
            await eventually(lambda: held.begun == 1)
        got = await _failure(call)
        await eventually(lambda: held.cancelled == 1)

    assert grpc.StatusCode.UNAVAILABLE == got.code()


async def test_a_closed_channel_refuses() -> None:
    """A call made too late is UNAVAILABLE at once."""
    async with _calling() as channel:
        pass

    assert grpc.StatusCode.UNAVAILABLE == (await _failure(_classify(channel))).code()


async def test_an_unknown_method_is_unimplemented() -> None:
    """A method that does not exist is UNIMPLEMENTED, however long its name."""
    async with _calling() as channel:
        got = [await _failure(_raw(channel, f"/{SERVICE}/{name}", b"")) for name in ("Guess", "x" * 16_000)]

    assert [grpc.StatusCode.UNIMPLEMENTED] * 2 == [each.code() for each in got]


async def test_a_stream_is_not_carried() -> None:
    """Whoever asks for a stream learns it at the call, not later."""
    async with _calling() as channel:
        with pytest.raises(NotImplementedError, match="Watch"):
            health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())


async def test_malformed_bytes_are_the_callers_fault() -> None:
    """Bytes that are no message are INVALID_ARGUMENT, REQUEST_MALFORMED."""
    async with _calling() as channel:
        got = await _failure(_raw(channel, CLASSIFY, b"\xff\xff\xff"))

    assert (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED", "") == (got.code(), reason_of(got), field_of(got))


async def _large(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
    return pb.ClassifyResponse(results=[Classification(model="x" * 2 * MIB)])


TOO_LARGE: dict[str, tuple[Script, int, dict[str, Any], dict[str, Any]]] = {
    "request, as the caller knows": (empty, 2 * MIB, {"max_message_bytes": MIB}, {}),
    "request, as the service knows": (empty, 2 * MIB, {}, {"max_message_bytes": MIB}),
    "answer, as the service knows": (_large, 0, {}, {"max_message_bytes": MIB}),
    "answer, as the caller knows": (_large, 0, {"max_message_bytes": MIB}, {}),
}
"""What answers, the size of the request, and limits of caller and service."""


@pytest.mark.parametrize(("script", "size", "caller", "service"), TOO_LARGE.values(), ids=TOO_LARGE)
async def test_a_message_above_the_limit_fails_alone(
    script: Script, size: int, caller: dict[str, Any], service: dict[str, Any]
) -> None:
    """Whoever has the lower limit, the call is RESOURCE_EXHAUSTED, and another one on the same link goes on."""
    held = Held()

    async def either(request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        return await (held if request.model == "held" else script)(request, context)

    async with _serving(either, **service) as server, opened(link_target(server.link_port), **caller) as channel:
        other = asyncio.ensure_future(_classify(channel, request={"model": "held"}))
        await eventually(lambda: held.begun == 1)
        got = await _failure(_classify(channel, bytes(size)))
        held.goes_on.set()

        assert (grpc.StatusCode.RESOURCE_EXHAUSTED, pb.ClassifyResponse()) == (got.code(), await other)


@pytest.mark.parametrize("size", [0, 60_000, 65_536, 7 * MIB])
async def test_a_message_of_any_size_passes(size: int) -> None:
    """What is small, about as large as a read, or much larger comes back as it was sent."""
    content = bytes(range(256)) * (size // 256)

    async def script(request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        assert content == request.images[0].content
        return pb.ClassifyResponse(results=[Classification(model="x" * size)])

    async with _calling(script) as channel:
        answers = await asyncio.gather(*(_classify(channel, content) for _ in range(3)))

    assert [size] * 3 == [len(answer.results[0].model) for answer in answers]


async def test_nothing_is_left_behind() -> None:
    """A server and a channel that are closed, with calls under way, leave no task."""
    before = asyncio.all_tasks()
    async with _calling(Held()) as channel:
        calls = [asyncio.ensure_future(_classify(channel)) for _ in range(3)]
        await asyncio.sleep(0.05)
        calls[0].cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    await eventually(lambda: asyncio.all_tasks() == before)
