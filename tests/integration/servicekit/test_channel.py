"""Channels: balanced over what is healthy, and quick to come back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from fakes.scripted import CLASSIFY, SERVICE, ScriptedService
from fakes.servers import eventually, free_port, running_server

from servicekit.channel import open_channel
from servicekit.errors import Code, DeadlineExceeded, TriptychError
from servicekit.health import Readiness
from servicekit.metrics import RpcMetrics
from servicekit.remote import RemoteMethod
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc

MIB = 2**20


@asynccontextmanager
async def _opened(*ports: int, health: str | None = SERVICE) -> AsyncIterator[grpc.aio.Channel]:
    target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    async with open_channel(target, max_message_bytes=8 * MIB, health_service=health) as channel:
        yield channel


async def _call(channel: grpc.aio.Channel, timeout_s: float = 2) -> pb.ClassifyResponse:
    return await pb_grpc.ClassificationServiceStub(channel).Classify(pb.ClassifyRequest(), timeout=timeout_s)


async def _answers(channel: grpc.aio.Channel) -> bool:
    try:
        await _call(channel)
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_calls_are_spread_over_the_replicas() -> None:
    """Two replicas get about the same number of calls."""
    services = [ScriptedService(), ScriptedService()]
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(running_server(service.register, [SERVICE])) for service in services]
        channel = await stack.enter_async_context(_opened(*(server.port for server in servers)))

        async def both_answer() -> bool:
            await _call(channel)
            return all(service.calls for service in services)

        await eventually(both_answer)
        before = [service.calls for service in services]
        for _ in range(20):
            await _call(channel)

    assert [10, 10] == [service.calls - earlier for service, earlier in zip(services, before, strict=True)]


async def test_a_replica_that_is_not_serving_gets_no_calls() -> None:
    """Health decides: the unready replica is passed over although it listens."""
    ready, unready = ScriptedService(), ScriptedService()
    async with (
        running_server(ready.register, [SERVICE]) as first,
        running_server(unready.register, [SERVICE], readiness=Readiness("never")) as second,
        _opened(first.port, second.port) as channel,
    ):
        for _ in range(20):
            await _call(channel)

    assert (20, 0) == (ready.calls, unready.calls)


async def test_a_replica_that_becomes_ready_gets_calls() -> None:
    """A change of health reaches the channel without a new connection."""
    readiness, service = Readiness("it"), ScriptedService()
    async with (
        running_server(service.register, [SERVICE], readiness=readiness) as server,
        _opened(server.port) as channel,
    ):
        assert not await _answers(channel)
        await readiness.set("it", None)
        await eventually(lambda: _answers(channel), within_s=2)


async def test_without_a_ready_replica_a_call_fails_fast() -> None:
    """Nobody waits for a deadline when no replica is SERVING."""
    async with (
        running_server(ScriptedService().register, [SERVICE], readiness=Readiness("never")) as server,
        _opened(server.port) as channel,
    ):
        start = time.perf_counter()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, 10)

    assert grpc.StatusCode.UNAVAILABLE == caught.value.code()
    assert 2 > time.perf_counter() - start


async def test_a_restarted_server_is_found_again() -> None:
    """Two seconds after a server is back on its port, calls succeed."""
    async with running_server(ScriptedService().register, [SERVICE]) as server:
        port = server.port
        channel = open_channel(f"ipv4:127.0.0.1:{port}", max_message_bytes=MIB, health_service=SERVICE)
        await _call(channel)
    async with channel:
        await eventually(lambda: _refused(channel))
        await asyncio.sleep(0.5)  # long enough for the connection to back off
        async with running_server(ScriptedService().register, [SERVICE], port=port):
            await eventually(lambda: _answers(channel), within_s=2)


async def _refused(channel: grpc.aio.Channel) -> bool:
    return not await _answers(channel)


async def test_a_large_message_passes() -> None:
    """The limit is the channel's own, not gRPC's 4 MiB."""
    request = pb.ClassifyRequest(images=[{"content": bytes(6 * MIB)}])
    service = ScriptedService()
    async with running_server(service.register, [SERVICE]) as server, _opened(server.port) as channel:
        await pb_grpc.ClassificationServiceStub(channel).Classify(request, timeout=5)

    assert 1 == service.calls


def _remote(channel: grpc.aio.Channel, metrics: RpcMetrics) -> RemoteMethod[pb.ClassifyRequest, pb.ClassifyResponse]:
    return RemoteMethod("scripted", CLASSIFY, channel, metrics)


async def test_no_time_left_sends_nothing(metrics: RpcMetrics) -> None:
    """A call whose time is up fails before it leaves."""
    async with _opened(free_port()) as channel:
        with pytest.raises(DeadlineExceeded, match="scripted"):
            await _remote(channel, metrics)(pb.ClassifyRequest(), 0)


async def test_a_neighbour_that_is_away_is_unavailable(metrics: RpcMetrics) -> None:
    """A refused connection becomes UNAVAILABLE of our own, without the address."""
    port = free_port()
    async with _opened(port) as channel:
        with pytest.raises(TriptychError) as caught:
            await _remote(channel, metrics)(pb.ClassifyRequest(), 2)

    assert (Code.UNAVAILABLE, "The scripted service cannot be reached.") == (caught.value.code, caught.value.message)


async def test_calls_are_counted_on_the_clients_side(metrics: RpcMetrics) -> None:
    """One call is one begun and one ended with its code."""
    async with running_server(ScriptedService().register, [SERVICE]) as server, _opened(server.port) as channel:
        await _remote(channel, metrics)(pb.ClassifyRequest(), 2)
    labels = {"grpc_type": "unary", "grpc_service": SERVICE, "grpc_method": "Classify", "grpc_code": "OK"}

    assert 1.0 == metrics.registry.get_sample_value("grpc_client_handled_total", labels)
