"""What every RPC gets around its handler, over a real server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import grpc
import pytest
import structlog
from fakes.scripted import CLASSIFY, SERVICE, STREAM, Context, Script, ScriptedService, field_of, reason_of
from fakes.servers import connected, eventually, running_server
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from servicekit import context as request_context
from servicekit.errors import InvalidArgument, Reason, ResourceExhausted
from servicekit.logging import _add_ids
from servicekit.metrics import RpcMetrics
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc

MALFORMED = b"\xff\xff\xff"


@asynccontextmanager
async def _calling(
    script: Script, *, edge: bool = False, metrics: RpcMetrics | None = None, **settings: Any
) -> AsyncIterator[grpc.aio.Channel]:
    service = ScriptedService(script)
    async with (
        running_server(service.register, [SERVICE], edge=edge, metrics=metrics, **settings) as server,
        connected(server.port) as channel,
    ):
        yield channel


async def _failure(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, 5)
    return caught.value


def _classify(channel: grpc.aio.Channel, **options: Any) -> Awaitable[pb.ClassifyResponse]:
    return pb_grpc.ClassificationServiceStub(channel).Classify(pb.ClassifyRequest(), **options)


def _raw(channel: grpc.aio.Channel, method: str, request: bytes) -> Awaitable[object]:
    untyped: Any = channel.unary_unary(method)
    call: Awaitable[object] = untyped(request)
    return call


def _raising(error: BaseException) -> Script:
    async def script(_request: pb.ClassifyRequest, _context: Context) -> NoReturn:
        raise error

    return script


async def _cancels_an_inner_task(_request: pb.ClassifyRequest, _context: Context) -> NoReturn:
    task = asyncio.ensure_future(asyncio.Event().wait())
    task.cancel()
    await task
    raise AssertionError


async def _sleeps(_request: pb.ClassifyRequest, _context: Context) -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError


async def test_our_error_keeps_its_parts() -> None:
    """Code, sentence, reason and field of a TriptychError arrive."""
    error = InvalidArgument("top_k must be 1 to 1000; it is 0.", field="top_k")
    async with _calling(_raising(error)) as channel:
        got = await _failure(_classify(channel))

    assert (grpc.StatusCode.INVALID_ARGUMENT, "top_k must be 1 to 1000; it is 0.", "FIELD_INVALID", "top_k") == (
        got.code(),
        got.details(),
        reason_of(got),
        field_of(got),
    )


async def test_a_shed_call_says_when_to_come_back() -> None:
    """RetryInfo carries the pause."""
    async with _calling(_raising(ResourceExhausted("Full.", retry_after_s=0.5))) as channel:
        got = await _failure(_classify(channel))
    retry = error_details_pb2.RetryInfo()
    status = rpc_status.from_call(got)
    assert status is not None
    status.details[-1].Unpack(retry)

    assert 500_000_000 == retry.retry_delay.nanos


async def test_a_shed_call_pushes_grpcs_own_retry_back() -> None:
    """The trailing metadata tells gRPC's retry the same pause, in milliseconds."""
    async with _calling(_raising(ResourceExhausted("Full.", retry_after_s=0.5))) as channel:
        got = await _failure(_classify(channel))

    assert "500" == dict(got.trailing_metadata())["grpc-retry-pushback-ms"]


@pytest.mark.parametrize(
    "error", [RuntimeError("secret /srv/path"), KeyError("secret"), TimeoutError("secret"), MemoryError("secret")]
)
async def test_an_unexpected_error_tells_nothing(error: Exception) -> None:
    """What is not ours fails the call without a word of its text."""
    async with _calling(_raising(error)) as channel:
        got = await _failure(_classify(channel))

    assert "secret" not in str(got)


async def test_an_unexpected_error_is_internal() -> None:
    """What is not ours becomes INTERNAL, reason and all."""
    async with _calling(_raising(RuntimeError("secret"))) as channel:
        got = await _failure(_classify(channel))

    assert (grpc.StatusCode.INTERNAL, "INTERNAL") == (got.code(), reason_of(got))


async def test_an_unexpected_error_is_logged_with_its_request() -> None:
    """The log has what the caller must not see, under the id that the caller has."""
    processors: list[Any] = [_add_ids, structlog.processors.format_exc_info]
    with capture_logs(processors) as lines:
        async with _calling(_raising(RuntimeError("secret"))) as channel:
            await _failure(_classify(channel, metadata=(("x-request-id", "order-7"),)))
    line = next(line for line in lines if line["event"] == "unexpected error")

    assert ("order-7", True) == (line["request_id"], "RuntimeError: secret" in line["exception"])


async def test_a_cancelled_inner_task_does_not_hang_the_caller() -> None:
    """A handler that lets a CancelledError escape is answered, not forgotten (grpc/grpc#29248)."""
    async with _calling(_cancels_an_inner_task) as channel:
        got = await _failure(_classify(channel))

    assert (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN") == (got.code(), reason_of(got))


async def test_an_unknown_method_is_unimplemented() -> None:
    """A method that does not exist is UNIMPLEMENTED."""
    async with _calling(_sleeps) as channel:
        got = await _failure(_raw(channel, f"/{SERVICE}/Guess", b""))

    assert grpc.StatusCode.UNIMPLEMENTED == got.code()


async def test_malformed_bytes_are_the_callers_fault() -> None:
    """Bytes that are no message are INVALID_ARGUMENT, REQUEST_MALFORMED."""
    async with _calling(_sleeps) as channel:
        got = await _failure(_raw(channel, CLASSIFY, MALFORMED))

    assert (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED") == (got.code(), reason_of(got))


async def test_malformed_bytes_in_a_stream_are_the_callers_fault() -> None:
    """In a stream too, bytes that are no message are INVALID_ARGUMENT, REQUEST_MALFORMED."""
    async with _calling(_sleeps) as channel:
        method: Any = channel.stream_stream(STREAM)
        call = method()
        await call.write(MALFORMED)
        got = await _failure(call.read())

    assert (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED") == (got.code(), reason_of(got))


async def test_an_oversize_message_is_resource_exhausted() -> None:
    """A message above the limit is refused before it is read."""
    async with _calling(_sleeps, max_message_bytes=2**20) as channel:
        got = await _failure(_raw(channel, CLASSIFY, b"x" * (2**20 + 1)))

    assert grpc.StatusCode.RESOURCE_EXHAUSTED == got.code()


async def _left(wanted: float | None, **settings: Any) -> float:
    left: list[float] = []

    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        left.append(request_context.time_left_s())
        return pb.ClassifyResponse()

    async with _calling(script, **settings) as channel:
        await _classify(channel, timeout=wanted)
    return left[0]


@pytest.mark.parametrize(
    ("wanted", "effective"), [(None, 7.0), (3.0, 3.0), (100.0, 20.0)], ids=["default", "the caller's", "shortened"]
)
async def test_every_call_has_a_deadline(wanted: float | None, effective: float) -> None:
    """Without one the default holds; the caller's own holds up to the longest allowed."""
    left = await _left(wanted, default_timeout_s=7, max_timeout_s=20)

    assert effective - 1 < left < effective + 0.1  # gRPC rounds up


@pytest.mark.parametrize("wanted", [None, 60.0])
async def test_time_that_is_up_ends_the_call(wanted: float | None) -> None:
    """The server ends a call at its deadline, whether or not the caller asked for one."""
    async with _calling(_sleeps, default_timeout_s=0.1, max_timeout_s=0.1) as channel:
        got = await _failure(_classify(channel, timeout=wanted))

    assert (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED") == (got.code(), reason_of(got))


async def test_the_handler_is_cancelled_at_the_deadline() -> None:
    """Nobody goes on working for a caller whose time is up."""
    ended = asyncio.Event()

    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return pb.ClassifyResponse()

    async with _calling(script, default_timeout_s=0.1) as channel:
        await _failure(_classify(channel))

        await asyncio.wait_for(ended.wait(), 1)


async def test_the_handler_is_cancelled_when_the_caller_leaves() -> None:
    """A cancelled call ends its handler."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return pb.ClassifyResponse()

    async with _calling(script) as channel:
        call: Any = _classify(channel)
        await asyncio.wait_for(began.wait(), 2)
        call.cancel()

        await asyncio.wait_for(ended.wait(), 2)


async def test_a_stream_answers_every_message() -> None:
    """Responses come one by one, in order, and the stream ends well."""

    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        return pb.ClassifyResponse()

    async def frames() -> AsyncIterator[pb.ClassifyStreamRequest]:
        for frame in (3, 1, 2):
            yield pb.ClassifyStreamRequest(frame=frame)

    async with _calling(script) as channel:
        answers = pb_grpc.ClassificationServiceStub(channel).ClassifyStream(frames())
        got = [answer.frame async for answer in answers]

    assert [3, 1, 2] == got


async def test_a_stream_maps_errors() -> None:
    """Our error ends a stream with its code and reason."""
    async with _calling(_raising(InvalidArgument("No.", reason=Reason.IMAGE_EMPTY))) as channel:
        call = pb_grpc.ClassificationServiceStub(channel).ClassifyStream()
        await call.write(pb.ClassifyStreamRequest(frame=1))
        got = await _failure(call.read())

    assert (grpc.StatusCode.INVALID_ARGUMENT, "IMAGE_EMPTY") == (got.code(), reason_of(got))


async def _trailing_metadata(*, edge: bool, given: str | None) -> dict[str, str]:
    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        return pb.ClassifyResponse()

    async with _calling(script, edge=edge) as channel:
        call: Any = _classify(channel, metadata=(("x-request-id", given),) if given else None)
        await call
        return dict(await call.trailing_metadata())


async def test_the_edge_echoes_the_request_id() -> None:
    """The caller's id comes back."""
    assert "order-7" == (await _trailing_metadata(edge=True, given="order-7"))["x-request-id"]


async def test_the_edge_makes_a_request_id() -> None:
    """A caller without one learns the id that the logs have."""
    assert 32 == len((await _trailing_metadata(edge=True, given=None))["x-request-id"])


async def test_inside_nothing_is_echoed() -> None:
    """Between the services the id goes one way."""
    assert "x-request-id" not in await _trailing_metadata(edge=False, given="order-7")


async def test_the_edge_echoes_with_an_error() -> None:
    """A failed call tells its request id too."""
    async with _calling(_raising(RuntimeError()), edge=True) as channel:
        got = await _failure(_classify(channel, metadata=(("x-request-id", "order-7"),)))

    assert "order-7" == dict(got.trailing_metadata())["x-request-id"]


async def test_the_handler_knows_who_asks() -> None:
    """Request id and trace are the current context's, for the next hop."""
    seen: list[request_context.RequestContext | None] = []

    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        seen.append(request_context.current())
        return pb.ClassifyResponse()

    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with _calling(script) as channel:
        await _classify(channel, metadata=(("x-request-id", "order-7"), ("traceparent", parent)))

    assert [request_context.RequestContext("order-7", parent)] == seen


def _handled(metrics: RpcMetrics, method: str = "Classify") -> dict[str, float]:
    return {
        sample.labels["grpc_code"]: sample.value
        for metric in metrics.handled.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["grpc_method"] == method
    }


OUTCOMES: list[tuple[str, Callable[[grpc.aio.Channel], Awaitable[object]], Script]] = [
    ("INVALID_ARGUMENT", _classify, _raising(InvalidArgument("x"))),
    ("INVALID_ARGUMENT", lambda channel: _raw(channel, CLASSIFY, MALFORMED), _sleeps),
    ("INTERNAL", _classify, _raising(RuntimeError())),
    ("UNAVAILABLE", _classify, _cancels_an_inner_task),
    ("DEADLINE_EXCEEDED", _classify, _sleeps),
]


@pytest.mark.parametrize(("code", "call", "script"), OUTCOMES, ids=["ours", "malformed", "theirs", "inner", "late"])
async def test_a_failure_is_counted_under_its_code(
    code: str, call: Callable[[grpc.aio.Channel], Awaitable[object]], script: Script
) -> None:
    """The counter has the code that the caller saw, once."""
    metrics = RpcMetrics("server", CollectorRegistry())
    async with _calling(script, metrics=metrics, default_timeout_s=0.2) as channel:
        await _failure(call(channel))

        assert {code: 1.0} == _handled(metrics)


async def test_a_success_is_counted_and_timed() -> None:
    """One call is one begun, one ended with OK, one duration."""
    metrics = RpcMetrics("server", CollectorRegistry())
    async with _calling(ScriptedService().script, metrics=metrics) as channel:
        await _classify(channel)
    labels = {"grpc_type": "unary", "grpc_service": SERVICE, "grpc_method": "Classify"}
    value = metrics.registry.get_sample_value

    assert ({"OK": 1.0}, 1.0, 1.0) == (
        _handled(metrics),
        value("grpc_server_started_total", labels),
        value("grpc_server_handling_seconds_count", labels),
    )


async def test_a_call_that_was_left_is_counted_as_cancelled() -> None:
    """A caller that leaves is CANCELLED, not an error of ours."""
    metrics = RpcMetrics("server", CollectorRegistry())
    began = asyncio.Event()

    async def script(_request: pb.ClassifyRequest, _context: Context) -> NoReturn:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with _calling(script, metrics=metrics) as channel:
        call: Any = _classify(channel)
        await asyncio.wait_for(began.wait(), 2)
        call.cancel()
        await eventually(lambda: bool(_handled(metrics)))

    assert {"CANCELLED": 1.0} == _handled(metrics)


async def test_a_stream_is_counted_as_one() -> None:
    """A bidirectional stream is one RPC of type bidi_stream."""
    metrics = RpcMetrics("server", CollectorRegistry())
    async with _calling(ScriptedService().script, metrics=metrics) as channel:
        call = pb_grpc.ClassificationServiceStub(channel).ClassifyStream()
        await call.write(pb.ClassifyStreamRequest(frame=1))
        await call.done_writing()
        assert 1 == len([answer async for answer in call])

    labels = {"grpc_type": "bidi_stream", "grpc_service": SERVICE, "grpc_method": "ClassifyStream", "grpc_code": "OK"}
    assert 1.0 == metrics.registry.get_sample_value("grpc_server_handled_total", labels)


async def test_unknown_methods_make_no_series() -> None:
    """Names that callers invent never become labels."""
    metrics = RpcMetrics("server", CollectorRegistry())
    async with _calling(_sleeps, metrics=metrics) as channel:
        await _failure(_raw(channel, f"/{SERVICE}/Guess", b""))

    assert {} == _handled(metrics, "Guess")


async def test_a_failure_is_logged_without_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    """One line tells method and code of a failed RPC, also when successes are not logged."""
    async with _calling(_raising(InvalidArgument("x"))) as channel:
        await _failure(_classify(channel))
    lines = [line for line in capsys.readouterr().out.splitlines() if CLASSIFY in line]

    assert 1 == len([line for line in lines if "INVALID_ARGUMENT" in line])


async def test_the_clients_own_retry_works() -> None:
    """A call that was shed is repeated by a client's gRPC retry policy, after the pushback that it was told."""
    attempts = 0

    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ResourceExhausted("Full.", retry_after_s=0.01)
        return pb.ClassifyResponse()

    retry = {
        "maxAttempts": 3,
        "initialBackoff": "1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 1,
        "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
    }
    config = {"methodConfig": [{"name": [{}], "retryPolicy": retry}]}
    async with running_server(ScriptedService(script).register, [SERVICE], edge=True) as server:
        address = f"127.0.0.1:{server.port}"
        async with grpc.aio.insecure_channel(address, [("grpc.service_config", json.dumps(config))]) as channel:
            await _classify(channel, timeout=5)

    assert 2 == attempts


async def test_messages_are_counted() -> None:
    """Messages received and sent have the names of go-grpc-prometheus; a failed call sends none."""
    registry = CollectorRegistry()
    async with _calling(_raising(RuntimeError()), metrics=RpcMetrics("server", registry)) as channel:
        await _failure(_classify(channel))
    labels = {"grpc_type": "unary", "grpc_service": SERVICE, "grpc_method": "Classify"}
    names = ("grpc_server_msg_received_total", "grpc_server_msg_sent_total")

    assert [1, 0] == [registry.get_sample_value(name, labels) for name in names]
