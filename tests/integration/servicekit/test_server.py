"""The life of a server: listening, health, the drain, the announcement."""

import asyncio
import json
import signal
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from fakes.processes import running_process
from fakes.scripted import SERVICE, Context, ScriptedService
from fakes.servers import connected, eventually, link_target, opened, running_server, settings
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from servicekit.health import Readiness
from servicekit.metrics import RpcMetrics
from servicekit.server import GrpcServer, announce, background
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def _health(channel: grpc.aio.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    response = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
    return int(response.status)


async def test_a_service_is_not_serving_until_it_is_ready() -> None:
    """Readiness decides the health of the service's own name."""
    readiness = Readiness("it")
    async with (
        running_server(ScriptedService().register, [SERVICE], readiness=readiness) as server,
        connected(server.port) as channel,
    ):
        before = await _health(channel, SERVICE)
        await readiness.set("it", None)
        await eventually(lambda: _is(channel, SERVICE, SERVING))
        await readiness.set("it", "Gone.")
        await eventually(lambda: _is(channel, SERVICE, NOT_SERVING))

        assert NOT_SERVING == before


async def _is(channel: grpc.aio.Channel, service: str, status: int) -> bool:
    return await _health(channel, service) == status


async def test_the_process_is_alive_whatever_it_waits_for() -> None:
    """The empty name, which liveness probes ask for, is SERVING while a dependency is away."""
    async with (
        running_server(ScriptedService().register, [SERVICE], readiness=Readiness("it")) as server,
        connected(server.port) as channel,
    ):
        assert SERVING == await _health(channel, "")


async def test_watchers_hear_of_a_change() -> None:
    """Watch, which balancing clients use, tells both states in order."""
    readiness = Readiness("it")
    async with (
        running_server(ScriptedService().register, [SERVICE], readiness=readiness) as server,
        connected(server.port) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        seen = [(await watch.read()).status]
        await readiness.set("it", None)
        seen.append((await asyncio.wait_for(watch.read(), 2)).status)

    assert [NOT_SERVING, SERVING] == seen


async def test_a_taken_port_is_an_error() -> None:
    """Two processes never share a port in silence."""
    async with running_server(ScriptedService().register) as server:
        second = GrpcServer(
            settings(port=server.port),
            [],
            ScriptedService().register,
            metrics=RpcMetrics("server", CollectorRegistry()),
        )
        with pytest.raises(OSError, match=f"127.0.0.1:{server.port}"):
            await second.start()


async def test_a_taken_port_for_links_is_an_error() -> None:
    """The sentence says where, and that it is about links."""
    async with running_server(ScriptedService().register) as server, running_server(ScriptedService().register) as it:
        with pytest.raises(OSError, match=f"127.0.0.1:{server.link_port} for links"):
            await it.start_link(server.link_port)


async def _reflected(port: int) -> list[str]:
    async with connected(port) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        response = await call.read()
        return [service.name for service in response.list_services_response.service]


async def test_reflection_names_the_services() -> None:
    """With reflection, tools find the service and health."""
    async with running_server(ScriptedService().register, [SERVICE], reflection=True) as server:
        assert {SERVICE, "grpc.health.v1.Health"} < set(await _reflected(server.port))


async def test_reflection_can_be_left_out() -> None:
    """Without reflection, its method is unknown."""
    async with running_server(ScriptedService().register, [SERVICE], reflection=False) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _reflected(server.port)

    assert grpc.StatusCode.UNIMPLEMENTED == caught.value.code()


async def test_a_drain_says_so_before_it_refuses() -> None:
    """During the pause the health is NOT_SERVING while new calls are still taken."""
    service = ScriptedService()
    server = GrpcServer(
        settings(drain_delay_s=0.5), [SERVICE], service.register, metrics=RpcMetrics("server", CollectorRegistry())
    )
    await server.start()
    async with background(server.follow(Readiness())), connected(server.port) as channel:
        await eventually(lambda: _is(channel, SERVICE, SERVING))
        drain = asyncio.ensure_future(server.drain())
        await eventually(lambda: _is(channel, SERVICE, NOT_SERVING))
        await pb_grpc.ClassificationServiceStub(channel).Classify(pb.ClassifyRequest(), timeout=1)
        await drain

    assert 1 == service.calls


async def test_a_drain_answers_what_has_arrived() -> None:
    """Calls that came while the process had no time for them are answered, though the pause is over when it has."""
    server = GrpcServer(
        settings(drain_delay_s=0.1, drain_timeout_s=5),
        [SERVICE],
        ScriptedService().register,
        metrics=RpcMetrics("server", CollectorRegistry()),
    )
    await server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:  # its threads go on when the event loop does not
        await asyncio.to_thread(grpc.channel_ready_future(channel).result, 5)
        drain = asyncio.ensure_future(server.drain())
        await asyncio.sleep(0.02)
        stub = pb_grpc.ClassificationServiceStub(channel)
        calls = [stub.Classify.future(pb.ClassifyRequest(), timeout=5) for _ in range(8)]
        time.sleep(0.3)  # noqa: ASYNC251 (that is the point)
        await drain
        codes = [await asyncio.to_thread(call.code) for call in calls]

    assert [grpc.StatusCode.OK] * 8 == codes


async def test_a_drain_is_bounded() -> None:
    """A call that never ends is cut off after the time for it, and its caller told."""
    began = asyncio.Event()

    async def script(_request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        began.set()
        await asyncio.Event().wait()
        return pb.ClassifyResponse()

    service = ScriptedService(script)
    server = GrpcServer(
        settings(drain_timeout_s=0.2), [SERVICE], service.register, metrics=RpcMetrics("server", CollectorRegistry())
    )
    await server.start()
    async with connected(server.port) as channel:
        call = pb_grpc.ClassificationServiceStub(channel).Classify(pb.ClassifyRequest())
        await asyncio.wait_for(began.wait(), 2)
        await asyncio.wait_for(server.drain(), 2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(call, 2)

    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def test_a_failed_job_does_not_end_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    """A background job that fails is logged; its context goes on and closes well."""

    async def fails() -> None:
        raise RuntimeError("out of paper")

    async with background(fails()):
        await asyncio.sleep(0.01)

    assert "a background job failed" in capsys.readouterr().out


def test_an_announcement_is_complete(tmp_path: Path) -> None:
    """The file has the ports and the process, and nothing else is left beside it."""
    announce(tmp_path / "ports.json", {"grpc": 81})

    assert ["ports.json"] == [path.name for path in tmp_path.iterdir()]
    assert 81 == json.loads((tmp_path / "ports.json").read_text())["grpc"]


@pytest.mark.parametrize("transport", ["grpc", "link"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_loses_no_call(tmp_path: Path, number: signal.Signals, transport: str) -> None:
    """A call in flight when the signal arrives is answered, and the process exits with 0."""
    async with AsyncExitStack() as stack:
        started = running_process("fakes.draining_server", tmp_path, drain_delay_s=0.05, link_port=0)
        process = await stack.enter_async_context(started)
        port = process.ports[transport]
        channel = await stack.enter_async_context(
            connected(port) if transport == "grpc" else opened(link_target(port), health_service=SERVICE)
        )
        call = pb_grpc.ClassificationServiceStub(channel).Classify(pb.ClassifyRequest(), timeout=10)
        # A later call on the same connection is answered only after the one before it has arrived.
        assert SERVING == await _health(channel, "")
        ended = asyncio.ensure_future(process.terminated(number))

        assert (pb.ClassifyResponse(), 0) == (await call, await ended)


async def test_a_process_announces_itself(tmp_path: Path) -> None:
    """The announce file has the process id and ports that answer."""
    async with running_process("fakes.draining_server", tmp_path) as process:
        with socket.create_connection(("127.0.0.1", process.ports["metrics"]), timeout=2) as metrics:
            metrics.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            first = metrics.recv(64)

        assert (process.process.pid, True) == (process.ports["pid"], first.startswith(b"HTTP/1.0 200"))


async def test_a_process_logs_json(tmp_path: Path) -> None:
    """Every line is one object with time, level, service and event; a call's line has its ids."""
    async with (
        running_process("fakes.draining_server", tmp_path) as process,
        connected(process.ports["grpc"]) as channel,
    ):
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        await pb_grpc.ClassificationServiceStub(channel).Classify(
            pb.ClassifyRequest(), metadata=(("x-request-id", "order-7"), ("traceparent", parent))
        )
        await process.terminated()
        lines = process.lines()
    (rpc,) = [line for line in lines if line["event"] == "rpc" and line.get("request_id") == "order-7"]

    assert all({"timestamp", "level", "event", "service"} <= line.keys() for line in lines)
    assert ("draining", "OK", "0af7651916cd43dd8448eb211c80319c") == (rpc["service"], rpc["code"], rpc["trace_id"])


async def test_wrong_settings_end_the_process(tmp_path: Path) -> None:
    """A process with a wrong variable exits at once and names it."""
    async with running_process("fakes.draining_server", tmp_path, log_level="loud") as process:
        assert 1 == await process.process.wait()

        assert process.log.read_text().startswith("draining: TRIPTYCH_LOG_LEVEL:")
