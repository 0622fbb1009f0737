"""Links to several replicas, and to replicas that come, go, and hang."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from fakes.certificates import USUAL
from fakes.links import READY, End, begin, frame, raw_caller, raw_service
from fakes.names import Names
from fakes.processes import running_process
from fakes.scripted import CLASSIFY, SERVICE, Context, ScriptedService
from fakes.servers import eventually, link_target, opened, running_server

from servicekit.health import Readiness
from servicekit.link import peer as link_peer
from servicekit.server import GrpcServer
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Classification
from triptych.link.v1.link_pb2 import Failure, Head

MIB = 2**20
NAME = "link:///preprocess:9001"


class Replica(ScriptedService):
    """Is a service that answers no call before it is told to, unless it is told at once."""

    def __init__(self, *, held: bool = False) -> None:
        super().__init__(self._hold)
        self.goes_on = asyncio.Event()
        if not held:
            self.goes_on.set()

    async def _hold(self, _request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        await self.goes_on.wait()
        return pb.ClassifyResponse()


@asynccontextmanager
async def _serving(replica: Replica, **settings: Any) -> AsyncIterator[GrpcServer]:
    async with running_server(replica.register, [SERVICE], **settings) as server:
        yield server


async def _classify(channel: grpc.aio.Channel, timeout_s: float = 5) -> pb.ClassifyResponse:
    return await pb_grpc.ClassificationServiceStub(channel).Classify(pb.ClassifyRequest(), timeout=timeout_s)


async def _code(call: Awaitable[object]) -> grpc.StatusCode:
    try:
        await asyncio.wait_for(call, 10)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def _is(code: grpc.StatusCode, call: Awaitable[object]) -> bool:
    return code is await _code(call)


async def _all_connected(channel: grpc.aio.Channel, *replicas: Replica) -> None:
    """Calls until every replica has been called, and forgets that."""

    async def called() -> bool:
        await _classify(channel)
        return all(replica.calls for replica in replicas)

    await eventually(called)
    for replica in replicas:
        replica.calls = 0


async def _hangs(end: End) -> None:
    end.say(frame(READY))
    await end.ended()


async def test_the_least_busy_replica_is_called() -> None:
    """Calls under way are spread evenly, and whoever is done first gets the next."""
    replicas = [Replica(), Replica(), Replica()]
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(_serving(replica)) for replica in replicas]
        target = link_target(*(server.link_port for server in servers))
        channel = await stack.enter_async_context(opened(target, health_service=SERVICE))
        await _all_connected(channel, *replicas)
        for replica in replicas:
            replica.goes_on.clear()
        calls = [asyncio.ensure_future(_classify(channel)) for _ in range(6)]
        await eventually(lambda: sum(replica.calls for replica in replicas) == 6)
        spread = [replica.calls for replica in replicas]
        replicas[1].goes_on.set()
        await eventually(lambda: sum(call.done() for call in calls) == 2)
        await asyncio.gather(*(_classify(channel) for _ in range(2)))
        for replica in replicas:
            replica.goes_on.set()
        await asyncio.gather(*calls)

    assert ([2, 2, 2], [2, 4, 2]) == (spread, [replica.calls for replica in replicas])


async def test_readiness_is_told_at_every_change() -> None:
    """A replica that is not ready gets no calls, except over channels that ask even those."""
    readiness, replica = Readiness(), Replica()
    async with (
        _serving(replica, readiness=readiness) as server,
        opened(link_target(server.link_port), health_service=SERVICE) as ready,
        opened(link_target(server.link_port)) as any_replica,
    ):
        codes = [await _code(_classify(ready))]
        for problem, code in (("Gone.", grpc.StatusCode.UNAVAILABLE), (None, grpc.StatusCode.OK)):
            await readiness.set("it", problem)
            await eventually(lambda code=code: _is(code, _classify(ready)))  # type: ignore[misc] # mypy does not see that it is a function of nothing
            codes.append(await _code(_classify(any_replica)))

    assert [grpc.StatusCode.OK] * 3 == codes


async def test_a_replica_that_is_lost_is_not_called() -> None:
    """While it is away, and nobody has said a word about it, calls go to the others."""
    connected = asyncio.Event()

    async def greets(end: End) -> None:
        end.say(frame(READY))
        connected.set()
        await end.ended()

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(_serving(Replica()))
        async with raw_service(greets) as lost:
            target = link_target(server.link_port, lost)
            channel = await stack.enter_async_context(opened(target, health_service=SERVICE))
            await asyncio.wait_for(connected.wait(), 5)
            await asyncio.sleep(0.05)  # until the greeting has arrived
        await eventually(lambda: _is(grpc.StatusCode.OK, _classify(channel)))
        codes = [await _code(_classify(channel)) for _ in range(5)]

    assert [grpc.StatusCode.OK] * 5 == codes


async def test_a_replica_that_comes_back_owes_nothing() -> None:
    """What was under way when its connection broke does not count against it."""
    broken, answered = asyncio.Event(), 0

    async def breaks_once(end: End) -> None:
        nonlocal answered
        end.say(frame(READY))
        while True:
            head, _ = await end.hear_of("begin")
            if not broken.is_set():
                broken.set()
                return
            end.say(frame(Head(call=head.call, answer={})))
            answered += 1

    async def answers(channel: grpc.aio.Channel) -> bool:
        await _code(_classify(channel))
        return answered > 0

    async with (
        _serving(Replica()) as server,
        raw_service(breaks_once) as port,
        opened(link_target(server.link_port, port), health_service=SERVICE) as channel,
    ):
        await eventually(lambda: answers(channel))


async def test_a_replica_that_owes_an_answer_is_not_called_again() -> None:
    """What a caller gave up on counts as work, so one that hangs costs one call, and not one after each deadline."""
    replica = Replica()
    async with (
        _serving(replica) as server,
        raw_service(_hangs) as hung,
        opened(link_target(server.link_port, hung), health_service=SERVICE) as channel,
    ):
        await asyncio.sleep(0.1)  # for both to be connected, or it proves less
        codes = [await _code(_classify(channel, 0.5)) for _ in range(10)]

    assert 1 >= codes.count(grpc.StatusCode.DEADLINE_EXCEEDED)
    assert 9 <= codes.count(grpc.StatusCode.OK)


async def test_a_silent_replica_is_called_last_until_it_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that owes an answer and says nothing is passed over, however busy the others are; a word brings it back."""
    monkeypatch.setattr(link_peer, "SILENCE_S", 0.5)
    speaks, called = asyncio.Event(), 0

    async def speaks_later(end: End) -> None:
        nonlocal called
        end.say(frame(READY))
        while True:
            head, _ = await end.hear_of("begin")
            called += 1
            await speaks.wait()
            end.say(frame(Head(call=head.call, failure=Failure(code=1))))

    async def reached(channel: grpc.aio.Channel) -> bool:
        await _code(_classify(channel, 0.05))
        return called == 1

    replica = Replica()
    async with (
        _serving(replica) as server,
        raw_service(speaks_later) as hung,
        opened(link_target(server.link_port, hung), health_service=SERVICE) as channel,
    ):
        await eventually(lambda: reached(channel))
        await asyncio.sleep(0.6)  # until it is taken for one that hangs
        replica.calls = 0
        replica.goes_on.clear()
        calls = [asyncio.ensure_future(_classify(channel)) for _ in range(4)]
        await eventually(lambda: replica.calls == 4)
        silent = called
        speaks.set()
        await eventually(lambda: _is(grpc.StatusCode.CANCELLED, _classify(channel, 0.1)))
        replica.goes_on.set()
        await asyncio.gather(*calls)

    assert 1 == silent


async def test_a_stopped_process_costs_one_call(tmp_path: Path) -> None:
    """Beside a replica that runs, one that is stopped is called at most once; when it goes on, it is called again."""
    folders = [tmp_path / "stopped", tmp_path / "running"]
    async with AsyncExitStack() as stack:
        for folder in folders:
            folder.mkdir()
        stopped, running = [
            await stack.enter_async_context(
                running_process("fakes.draining_server", folder, link_port=0, **USUAL.settings)
            )
            for folder in folders
        ]
        target = link_target(stopped.ports["link"], running.ports["link"])
        channel = await stack.enter_async_context(opened(target, health_service=SERVICE))
        await asyncio.gather(*(_classify(channel) for _ in range(4)))
        stopped.process.send_signal(signal.SIGSTOP)
        codes = [await _code(_classify(channel, 2)) for _ in range(4)]
        stopped.process.send_signal(signal.SIGCONT)
        await running.terminated()
        await eventually(lambda: _is(grpc.StatusCode.OK, _classify(channel)))

    assert 3 <= codes.count(grpc.StatusCode.OK)


async def test_a_name_without_addresses_fails_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a service that is not there; once it is, it is found."""
    names, replica = Names(monkeypatch, "preprocess", 9001), Replica()
    async with _serving(replica) as server, opened(NAME, health_service=SERVICE) as channel:
        code = await _code(_classify(channel, 60))
        state = channel.get_state()
        names.ports = [server.link_port]
        await eventually(lambda: _is(grpc.StatusCode.OK, _classify(channel)))

    assert (grpc.StatusCode.UNAVAILABLE, grpc.ChannelConnectivity.TRANSIENT_FAILURE) == (code, state)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 70])
async def test_a_name_that_is_none_fails_fast(host: str) -> None:
    """Whatever the resolver says of it, the call is UNAVAILABLE."""
    async with opened(f"link:///{host}:9001") as name, opened(f"link:{host}:9001") as address:
        codes = [await _code(_classify(channel, 60)) for channel in (name, address)]

    assert [grpc.StatusCode.UNAVAILABLE] * 2 == codes


async def test_an_address_that_comes_is_called_and_one_that_goes_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """New replicas get calls; one that is gone from the name gets none, and its calls under way are answered."""
    names = Names(monkeypatch, "preprocess", 9001)
    old, new = Replica(held=True), Replica()
    async with _serving(old) as first, _serving(new) as second, opened(NAME, health_service=SERVICE) as channel:
        names.ports = [first.link_port]
        held = asyncio.ensure_future(_classify(channel))
        await eventually(lambda: old.calls == 1)
        names.ports = [second.link_port]
        await eventually(lambda: _is(grpc.StatusCode.OK, _classify(channel, 0.1)))
        before = old.calls  # those that came before the name was resolved again are held with the first
        await asyncio.gather(*(_classify(channel) for _ in range(5)))
        calls = (old.calls, new.calls)
        old.goes_on.set()

        assert (pb.ClassifyResponse(), (before, 6)) == (await held, calls)


async def test_the_connection_to_an_address_that_went_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no name leads to is let go; it is found again when it comes back."""
    names, ended = Names(monkeypatch, "preprocess", 9001), 0

    async def counts(end: End) -> None:
        nonlocal ended
        end.say(frame(READY))
        await end.ended()
        ended += 1

    replica = Replica()
    async with raw_service(counts) as port, _serving(replica) as server, opened(NAME) as channel:
        for times in (1, 2):
            names.ports = [port]
            await eventually(lambda: channel.get_state() is grpc.ChannelConnectivity.READY)
            await eventually(lambda: _is(grpc.StatusCode.DEADLINE_EXCEEDED, _classify(channel, 0.05)))
            names.ports = [server.link_port]
            await eventually(lambda times=times: ended == times)  # type: ignore[misc] # as above


async def test_closing_ends_calls_to_addresses_that_went(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that is closed waits for nobody."""
    names, old, new = Names(monkeypatch, "preprocess", 9001), Replica(held=True), Replica()
    async with _serving(old) as first, _serving(new) as second:
        async with opened(NAME, health_service=SERVICE) as channel:
            names.ports = [first.link_port]
            held = asyncio.ensure_future(_classify(channel, 60))
            await eventually(lambda: old.calls == 1)
            names.ports = [second.link_port]
            await eventually(lambda: _is(grpc.StatusCode.OK, _classify(channel, 0.1)))

        assert grpc.StatusCode.UNAVAILABLE is await _code(held)


async def test_a_drain_says_so_and_takes_what_still_comes() -> None:
    """Callers turn away at once; who calls nevertheless is answered, and so is what was under way."""
    replica = Replica(held=True)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(_serving(replica, drain_delay_s=0.3, drain_timeout_s=5))
        channel = await stack.enter_async_context(opened(link_target(server.link_port), health_service=SERVICE))
        caller = await stack.enter_async_context(raw_caller(server.link_port))
        before = [asyncio.ensure_future(_classify(channel)) for _ in range(5)]
        await eventually(lambda: replica.calls == 5)
        drain = asyncio.ensure_future(server.drain())
        await eventually(lambda: channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE)
        turned_away = await _code(_classify(channel))
        caller.say(begin(1, CLASSIFY))
        await eventually(lambda: replica.calls == 6)
        replica.goes_on.set()
        head, _ = await caller.hear_of("answer")
        await asyncio.wait_for(drain, 5)

        assert ([pb.ClassifyResponse()] * 5, 1) == (await asyncio.gather(*before), head.call)
        assert grpc.StatusCode.UNAVAILABLE is turned_away
        assert await asyncio.wait_for(caller.ended(), 5)


async def test_a_drain_waits_until_answers_have_left() -> None:
    """An answer larger than any buffer on the way arrives whole, although its caller reads late."""

    async def large(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        return pb.ClassifyResponse(results=[Classification(model="x" * 32 * MIB)])

    service = ScriptedService(large)
    async with (
        running_server(service.register, [SERVICE], drain_timeout_s=10) as server,
        raw_caller(server.link_port) as caller,
    ):
        caller.say(begin(1, CLASSIFY))
        await eventually(lambda: service.calls == 1)
        drain = asyncio.ensure_future(server.drain())
        await asyncio.sleep(0.3)  # long enough to cut it off
        early = drain.done()
        _, payload = await caller.hear_of("answer")
        await asyncio.wait_for(drain, 5)

    assert (False, True) == (early, len(payload) > 32 * MIB)


async def test_a_drain_is_bounded() -> None:
    """A call that never ends is cut off, its caller told; and a caller that never reads holds nobody up."""

    async def large(request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        if request.model == "held":
            await asyncio.Event().wait()
        return pb.ClassifyResponse(results=[Classification(model="x" * 32 * MIB)])

    service = ScriptedService(large)
    async with (
        running_server(service.register, [SERVICE], drain_timeout_s=0.2) as server,
        raw_caller(server.link_port) as caller,
        opened(link_target(server.link_port), health_service=SERVICE) as channel,
    ):
        caller.say(begin(1, CLASSIFY))
        held = pb_grpc.ClassificationServiceStub(channel).Classify(pb.ClassifyRequest(model="held"), timeout=60)
        call = asyncio.ensure_future(held)
        await eventually(lambda: service.calls == 2)
        await asyncio.wait_for(server.drain(), 5)

        assert grpc.StatusCode.UNAVAILABLE is await _code(call)
