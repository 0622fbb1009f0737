"""Channels, of gRPC and of links: balanced over what is healthy, and quick to come back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from fakes.scripted import CLASSIFY, SERVICE, ScriptedService
from fakes.servers import eventually, free_port, opened, running_server

from servicekit.errors import Code, DeadlineExceeded, TriptychError
from servicekit.health import Readiness
from servicekit.metrics import RpcMetrics
from servicekit.remote import RemoteMethod
from servicekit.server import GrpcServer
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc

MIB = 2**20


class Transport:
    """Is a way to reach a server."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    def port(self, server: GrpcServer) -> int:
        """Returns the port that the server has for it."""
        return server.link_port if self._scheme == "link:" else server.port

    def at(self, port: int) -> dict[str, Any]:
        """Returns the settings of a server that has this port for it."""
        return {"link_port" if self._scheme == "link:" else "port": port}

    @asynccontextmanager
    async def opened(self, *servers: GrpcServer | int) -> AsyncIterator[grpc.aio.Channel]:
        """Opens a channel to servers or ports."""
        ports = [self.port(each) if isinstance(each, GrpcServer) else each for each in servers]
        target = self._scheme + ",".join(f"127.0.0.1:{port}" for port in ports)
        async with opened(target, max_message_bytes=8 * MIB, health_service=SERVICE) as channel:
            yield channel


@pytest.fixture(params=["ipv4:", "link:"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Either way."""
    return Transport(request.param)


async def _call(channel: grpc.aio.Channel, timeout_s: float = 2) -> pb.ClassifyResponse:
    return await pb_grpc.ClassificationServiceStub(channel).Classify(pb.ClassifyRequest(), timeout=timeout_s)


async def _answers(channel: grpc.aio.Channel) -> bool:
    try:
        await _call(channel)
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_calls_are_spread_over_the_replicas(transport: Transport) -> None:
    """Two replicas get about the same number of calls."""
    services = [ScriptedService(), ScriptedService()]
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(running_server(service.register, [SERVICE])) for service in services]
        channel = await stack.enter_async_context(transport.opened(*servers))

        async def both_answer() -> bool:
            await _call(channel)
            return all(service.calls for service in services)

        await eventually(both_answer)
        before = [service.calls for service in services]
        for _ in range(20):
            await _call(channel)

    assert [10, 10] == [service.calls - earlier for service, earlier in zip(services, before, strict=True)]


async def test_a_replica_that_is_not_serving_gets_no_calls(transport: Transport) -> None:
    """Health decides: the unready replica is passed over although it listens."""
    ready, unready = ScriptedService(), ScriptedService()
    async with (
        running_server(ready.register, [SERVICE]) as first,
        running_server(unready.register, [SERVICE], readiness=Readiness("never")) as second,
        transport.opened(first, second) as channel,
    ):
        for _ in range(20):
            await _call(channel)

    assert (20, 0) == (ready.calls, unready.calls)


async def test_a_replica_that_becomes_ready_gets_calls(transport: Transport) -> None:
    """A change of health reaches the channel without a new connection."""
    readiness, service = Readiness("it"), ScriptedService()
    async with (
        running_server(service.register, [SERVICE], readiness=readiness) as server,
        transport.opened(server) as channel,
    ):
        assert not await _answers(channel)
        await readiness.set("it", None)
        await eventually(lambda: _answers(channel), within_s=2)


async def test_without_a_ready_replica_a_call_fails_fast(transport: Transport) -> None:
    """Nobody waits for a deadline when no replica is SERVING."""
    async with (
        running_server(ScriptedService().register, [SERVICE], readiness=Readiness("never")) as server,
        transport.opened(server) as channel,
    ):
        start = time.perf_counter()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _call(channel, 10)

    assert grpc.StatusCode.UNAVAILABLE == caught.value.code()
    assert 2 > time.perf_counter() - start


async def test_a_restarted_server_is_found_again(transport: Transport) -> None:
    """Two seconds after a server is back on its port, calls succeed."""
    async with AsyncExitStack() as stack:
        async with running_server(ScriptedService().register, [SERVICE]) as server:
            channel = await stack.enter_async_context(transport.opened(server))
            await _call(channel)
        await eventually(lambda: _refused(channel))
        await asyncio.sleep(0.5)  # long enough for the connection to back off
        again = transport.at(transport.port(server))
        async with running_server(ScriptedService().register, [SERVICE], **again):
            await eventually(lambda: _answers(channel), within_s=2)


async def _refused(channel: grpc.aio.Channel) -> bool:
    return not await _answers(channel)


async def test_a_large_message_passes(transport: Transport) -> None:
    """The limit is the channel's own, not gRPC's 4 MiB."""
    request = pb.ClassifyRequest(images=[{"content": bytes(6 * MIB)}])
    service = ScriptedService()
    async with running_server(service.register, [SERVICE]) as server, transport.opened(server) as channel:
        await pb_grpc.ClassificationServiceStub(channel).Classify(request, timeout=5)

    assert 1 == service.calls


def _remote(channel: grpc.aio.Channel, metrics: RpcMetrics) -> RemoteMethod[pb.ClassifyRequest, pb.ClassifyResponse]:
    return RemoteMethod("scripted", CLASSIFY, channel, metrics)


async def test_no_time_left_sends_nothing(transport: Transport, metrics: RpcMetrics) -> None:
    """A call whose time is up fails before it leaves."""
    async with transport.opened(free_port()) as channel:
        with pytest.raises(DeadlineExceeded, match="scripted"):
            await _remote(channel, metrics)(pb.ClassifyRequest(), 0)


async def test_a_neighbour_that_is_away_is_unavailable(transport: Transport, metrics: RpcMetrics) -> None:
    """A refused connection becomes UNAVAILABLE of our own, without the address."""
    port = free_port()
    async with transport.opened(port) as channel:
        with pytest.raises(TriptychError) as caught:
            await _remote(channel, metrics)(pb.ClassifyRequest(), 10)

    assert (Code.UNAVAILABLE, "The scripted service cannot be reached.") == (caught.value.code, caught.value.message)


async def test_calls_are_counted_on_the_clients_side(transport: Transport, metrics: RpcMetrics) -> None:
    """One call is one begun and one ended with its code."""
    async with running_server(ScriptedService().register, [SERVICE]) as server, transport.opened(server) as channel:
        await _remote(channel, metrics)(pb.ClassifyRequest(), 10)
    labels = {"grpc_type": "unary", "grpc_service": SERVICE, "grpc_method": "Classify", "grpc_code": "OK"}

    assert 1.0 == metrics.registry.get_sample_value("grpc_client_handled_total", labels)
