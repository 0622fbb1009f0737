"""The other end of a link may be anything: one that says nothing, or nonsense, or never reads."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from fakes.links import READY, End, begin, frame, raw_caller, raw_service
from fakes.scripted import CLASSIFY, SERVICE, Context, ScriptedService
from fakes.servers import eventually, free_port, link_target, opened, running_server
from structlog.testing import capture_logs

from servicekit.link import wire
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Classification, Image
from triptych.link.v1.link_pb2 import Answer, Cancel, Failure, Head

MIB = 2**20
ANSWER = Head(answer=Answer())
GARBAGE = b"GET / HTTP/1.1\r\n\r\n"


async def _classify(channel: grpc.aio.Channel, timeout_s: float = 5, size: int = 0) -> pb.ClassifyResponse:
    request = pb.ClassifyRequest(images=[Image(content=bytes(size))])
    return await pb_grpc.ClassificationServiceStub(channel).Classify(request, timeout=timeout_s)


async def _failure(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(call, 10)
    return caught.value


async def _answers(channel: grpc.aio.Channel) -> bool:
    try:
        await _classify(channel)
    except grpc.aio.AioRpcError:
        return False
    return True


@asynccontextmanager
async def _calling(talk: Callable[[End], Awaitable[None]], **options: int) -> AsyncIterator[grpc.aio.Channel]:
    async with (
        raw_service(talk) as port,
        opened(link_target(port), health_service=SERVICE, max_message_bytes=options.get("limit", MIB)) as channel,
    ):
        yield channel


async def _honest(end: End) -> None:
    end.say(frame(READY))
    while True:
        head, _ = await end.hear_of("begin")
        end.say(frame(Head(call=head.call, answer=Answer())))


async def _silent(end: End) -> None:
    await end.ended()


async def _never_reads(end: End) -> None:
    end.say(frame(READY))
    await asyncio.Event().wait()


async def test_a_service_that_never_speaks_is_given_up() -> None:
    """Whoever accepts a connection and says nothing, as a process that hangs, is away after a moment."""
    async with _calling(_silent) as channel:
        before = channel.get_state()
        got = await _failure(_classify(channel))

        assert (grpc.ChannelConnectivity.CONNECTING, grpc.ChannelConnectivity.TRANSIENT_FAILURE) == (
            before,
            channel.get_state(),
        )
    assert grpc.StatusCode.UNAVAILABLE == got.code()


async def test_a_caller_does_not_wait_longer_than_it_wants() -> None:
    """The deadline holds also before the service has spoken."""
    async with _calling(_silent) as channel:
        got = await _failure(_classify(channel, 0.05))

    assert grpc.StatusCode.DEADLINE_EXCEEDED == got.code()


async def test_nobody_waits_for_a_silent_replica_beside_one_that_speaks() -> None:
    """The first that is ready gets the call, however many have not spoken."""
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(raw_service(talk)) for talk in (_silent, _honest, _silent)]
        channel = await stack.enter_async_context(opened(link_target(*ports), health_service=SERVICE))

        assert pb.ClassifyResponse() == await _classify(channel, 0.5)


async def test_a_service_that_speaks_late_is_found() -> None:
    """It need not have spoken within the time that callers wait for it."""
    speaks = asyncio.Event()

    async def late(end: End) -> None:
        await speaks.wait()
        await _honest(end)

    async with _calling(late) as channel:
        await _failure(_classify(channel))
        speaks.set()

        await eventually(lambda: _answers(channel))


async def test_a_port_that_nobody_listens_on_fails_fast() -> None:
    """A refused connection is no reason to wait."""
    async with opened(link_target(free_port())) as channel:
        got = await _failure(_classify(channel, 60))

        assert (grpc.StatusCode.UNAVAILABLE, grpc.ChannelConnectivity.TRANSIENT_FAILURE) == (
            got.code(),
            channel.get_state(),
        )


async def test_a_call_whose_connection_breaks_is_unavailable() -> None:
    """It may have been done or not; the caller learns that at once, and the next call finds a new connection."""
    broken = asyncio.Event()

    async def breaks_once(end: End) -> None:
        if not broken.is_set():
            end.say(frame(READY))
            await end.hear_of("begin")
            broken.set()
            return
        await _honest(end)

    async with _calling(breaks_once) as channel:
        got = await _failure(_classify(channel, 60))
        await eventually(lambda: _answers(channel))

    assert grpc.StatusCode.UNAVAILABLE == got.code()


NONSENSE = {
    "bytes": GARBAGE,
    "a huge length": b"\xff" * 6,
    "a call": begin(1, CLASSIFY),
    "a cancellation": frame(Head(call=1, cancel=Cancel())),
    "a kind that there is not": frame(Head(call=1)),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
async def test_a_service_that_talks_nonsense_is_left(nonsense: bytes) -> None:
    """Its connection ends with a word in the log, the call under way fails at once, and a better service is found."""
    talked = asyncio.Event()

    async def talks_nonsense_once(end: End) -> None:
        if not talked.is_set():
            end.say(frame(READY))
            await end.hear_of("begin")
            end.say(nonsense)
            talked.set()
            await end.ended()
            return
        await _honest(end)

    with capture_logs() as lines:
        async with _calling(talks_nonsense_once) as channel:
            got = await _failure(_classify(channel, 60))
            await eventually(lambda: _answers(channel))

    assert grpc.StatusCode.UNAVAILABLE == got.code()
    assert ["a link is cut"] == [line["event"] for line in lines if line["log_level"] == "warning"]


async def test_answers_to_calls_that_nobody_made_are_ignored() -> None:
    """They disturb no call under way."""

    async def says_too_much(end: End) -> None:
        end.say(frame(READY), frame(Head(call=4711, answer=Answer()), b"to nobody"))
        while True:
            head, _ = await end.hear_of("begin")
            mine, another = (frame(Head(call=head.call + more, answer=Answer())) for more in (0, 1))
            end.say(another, mine, mine)

    async with _calling(says_too_much) as channel:
        assert [pb.ClassifyResponse()] * 3 == [await _classify(channel) for _ in range(3)]


ODD: dict[str, tuple[bytes, Head]] = {
    "INTERNAL": (b"\xff\xff\xff", ANSWER),
    "UNKNOWN": (b"", Head(failure=Failure(code=4711, message="?"))),
    "NOT_FOUND": (b"\xff\xff\xff", Head(failure=Failure(code=5, message="Its details are garbage."))),
}


@pytest.mark.parametrize(("code", "said"), ODD.items(), ids=ODD)
async def test_an_odd_answer_fails_its_call(code: str, said: tuple[bytes, Head]) -> None:
    """An answer that is no message, a code that there is not and details that are none are errors of that call."""
    payload, head = said

    async def odd(end: End) -> None:
        end.say(frame(READY))
        begun, _ = await end.hear_of("begin")
        answer = Head(call=begun.call)
        answer.MergeFrom(head)
        end.say(frame(answer, payload))
        await end.ended()

    async with _calling(odd) as channel:
        assert code == (await _failure(_classify(channel))).code().name


async def test_a_service_that_never_reads_is_not_filled() -> None:
    """Once callers have given up, and more waits to leave than the largest message, nothing is added."""
    sent = 0

    async def refused(channel: grpc.aio.Channel) -> bool:
        nonlocal sent
        sent += 1
        got = await _failure(_classify(channel, 0.02, size=MIB - 100))
        return got.code() is grpc.StatusCode.UNAVAILABLE

    async with _calling(_never_reads) as channel:
        await eventually(lambda: refused(channel), within_s=20)

    assert 1 < sent < 200  # as much as both ends' kernel buffers hold, and little more


async def test_a_machine_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose other end acknowledges nothing for some time is lost, long before the deadline."""
    monkeypatch.setattr(wire, "SOCKET_OPTIONS", ((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500),))

    async with _calling(_never_reads, limit=64 * MIB) as channel:
        got = await _failure(_classify(channel, 60, size=60 * MIB))

    assert grpc.StatusCode.UNAVAILABLE == got.code()


async def _large(request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
    return pb.ClassifyResponse(results=[Classification(model="x" * (MIB - 100))])


async def test_a_caller_that_never_reads_is_not_served() -> None:
    """While its answers lie, no more of its calls begin; when it reads, every call is answered."""
    service = ScriptedService(_large)
    request = pb.ClassifyRequest(model="x" * 100_000).SerializeToString()
    calls = 100
    async with (
        running_server(service.register, [SERVICE], max_message_bytes=MIB) as server,
        raw_caller(server.link_port) as caller,
    ):
        caller.say(*(begin(number, CLASSIFY, request) for number in range(calls)))
        await eventually(lambda: service.calls > 1)
        await asyncio.sleep(0.3)  # long enough to begin them all
        begun = service.calls
        answered = {(await caller.hear_of("answer"))[0].call for _ in range(calls)}

    assert (set(range(calls)), True) == (answered, begun < calls)


@pytest.mark.parametrize(
    "nonsense",
    [
        GARBAGE,
        frame(ANSWER),
        frame(READY),
        frame(Head(call=1)),
        begin(1, CLASSIFY),
    ],
    ids=["bytes", "an answer", "readiness", "a kind that there is not", "a number in use"],
)
async def test_a_caller_that_talks_nonsense_is_left(nonsense: bytes) -> None:
    """Its connection ends, and the call under way with it; the other callers notice nothing."""
    cancelled = asyncio.Event()

    async def script(request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        if request.model == "held":
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
        return pb.ClassifyResponse()

    service = ScriptedService(script)
    async with (
        running_server(service.register, [SERVICE]) as server,
        raw_caller(server.link_port) as caller,
        opened(link_target(server.link_port)) as channel,
    ):
        await _classify(channel)
        caller.say(begin(1, CLASSIFY, pb.ClassifyRequest(model="held").SerializeToString()))
        await eventually(lambda: service.calls == 2)
        caller.say(nonsense, begin(2, CLASSIFY))
        assert await asyncio.wait_for(caller.ended(), 5)
        await asyncio.wait_for(cancelled.wait(), 5)

        assert pb.ClassifyResponse() == await _classify(channel)
    assert 3 == service.calls


async def test_every_call_is_answered_once_also_when_its_caller_has_left() -> None:
    """A cancelled call is answered too, even one that never began, and a cancellation of no call is none."""

    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        await asyncio.Event().wait()
        return pb.ClassifyResponse()

    async with (
        running_server(ScriptedService(script).register, [SERVICE]) as server,
        raw_caller(server.link_port) as caller,
    ):
        caller.say(begin(1, CLASSIFY))
        cancels = [frame(Head(call=number, cancel=Cancel())) for number in (1, 2, 2, 3)]
        caller.say(*cancels[:1], begin(2, CLASSIFY), *cancels[1:], begin(4, "/no/such"))
        heard = [(await caller.hear_of("failure"))[0] for _ in range(3)]

    assert {1: 1, 2: 1, 4: 12} == {head.call: head.failure.code for head in heard}


async def test_a_half_received_call_is_no_call() -> None:
    """A caller that leaves in the midst of a frame leaves nothing behind, and the next one is served."""
    service = ScriptedService()
    async with running_server(service.register, [SERVICE]) as server:
        async with raw_caller(server.link_port) as caller:
            caller.say(begin(1, CLASSIFY, bytes(200_000))[:-1])
            await caller.hear_of("serving")
        async with opened(link_target(server.link_port)) as channel:
            await _classify(channel)

    assert 1 == service.calls


async def test_closing_does_not_wait_for_a_connection() -> None:
    """A channel that is closed while it connects, or is pausing between attempts, is closed at once."""
    before = asyncio.all_tasks()
    async with raw_service(_silent) as port:
        for target in (link_target(port), link_target(free_port()), "link:192.0.2.1:9", "link:///192.0.2.1:9"):
            for pause_s in (0, 0.02):
                async with opened(target):
                    await asyncio.sleep(pause_s)

    await eventually(lambda: asyncio.all_tasks() == before)


async def test_closing_does_not_wait_for_a_service_that_never_reads() -> None:
    """What has not left when a channel is closed never does, and its call fails at once."""
    async with raw_service(_never_reads) as port:
        async with opened(link_target(port), health_service=SERVICE, max_message_bytes=64 * MIB) as channel:
            call = asyncio.ensure_future(_classify(channel, 60, size=60 * MIB))
            await eventually(lambda: channel.get_state() is grpc.ChannelConnectivity.READY)
            await asyncio.sleep(0.05)  # until the buffers on the way are full
        got = await asyncio.wait_for(_failure(call), 5)

    assert grpc.StatusCode.UNAVAILABLE == got.code()
