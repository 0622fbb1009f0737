"""TLS between processes: who is refused, over gRPC and over links, and what both ends say about it."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from fakes.certificates import HERE, Folder, expired
from fakes.processes import running_process
from fakes.scripted import SERVICE, ScriptedService
from fakes.servers import eventually, link_target, opened, running_server
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from servicekit import tls as tls_module
from servicekit.server import GrpcServer
from servicekit.tls import Tls
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc

SECRETS = ("127.0.0.1", "localhost", "gateway", "/", "certificate verify", "tls.", "ca.crt")
"""What no caller may read in an error: addresses, names of certificates, paths."""


class World:
    """Is an authority, what it gave to a server and to a gateway, and a foreign authority."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.authority, self.foreign = trustme.CA(), trustme.CA()
        self.server = self.folder("server", self.authority.issue_cert(*HERE, "preprocess"))
        self.gateway = self.folder("gateway", self.authority.issue_cert("gateway"))

    def folder(self, name: str, issued: trustme.LeafCert, *trusted: trustme.CA) -> Folder:
        """Writes a certificate and whom its holder trusts, by default the world's authority."""
        return Folder(self.path / name).put(issued, *(trusted or (self.authority,)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Certificates of this test."""
    return World(tmp_path)


@pytest.fixture(params=["grpc", "link"])
def link(request: pytest.FixtureRequest) -> bool:
    """Whether calls go over links."""
    return bool(request.param == "link")


@asynccontextmanager
async def _serving(tls: Tls | None, **values: Any) -> AsyncIterator[tuple[GrpcServer, ScriptedService]]:
    service = ScriptedService()
    async with running_server(service.register, [SERVICE], tls=tls, **values) as server:
        yield server, service


def _target(server: GrpcServer, *, link: bool) -> str:
    return link_target(server.link_port) if link else f"ipv4:127.0.0.1:{server.port}"


async def _call(channel: grpc.aio.Channel) -> pb.ClassifyResponse:
    return await pb_grpc.ClassificationServiceStub(channel).Classify(pb.ClassifyRequest(), timeout=10)


async def _answers(channel: grpc.aio.Channel) -> bool:
    try:
        await _call(channel)
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_both_ends_prove_who_they_are(world: World, *, link: bool) -> None:
    """A caller with a certificate of the authority is answered by a server that has one for its address."""
    async with (
        _serving(world.server.tls()) as (server, _),
        opened(_target(server, link=link), tls=world.gateway.tls()) as channel,
    ):
        assert pb.ClassifyResponse() == await _call(channel)


async def test_a_server_may_prove_another_name_than_its_address(world: World, *, link: bool) -> None:
    """Where a name led to the address, the certificate is held against the name."""
    issued = world.folder("named", world.authority.issue_cert("preprocess"))
    async with (
        _serving(issued.tls()) as (server, _),
        opened(_target(server, link=link), tls=world.gateway.tls(), server_name="preprocess") as named,
        opened(_target(server, link=link), tls=world.gateway.tls()) as by_address,
    ):
        assert (True, False) == (await _answers(named), await _answers(by_address))


async def test_a_name_that_leads_to_addresses_is_whom_to_expect(world: World, *, link: bool) -> None:
    """`localhost` resolves to an address that the certificate does not hold; the name it does."""
    issued = world.folder("named", world.authority.issue_cert("localhost"))
    async with _serving(issued.tls()) as (server, _):
        target = f"link:///localhost:{server.link_port}" if link else f"dns:///localhost:{server.port}"
        async with opened(target, tls=world.gateway.tls()) as channel:
            await eventually(lambda: _answers(channel))


def test_a_list_of_several_hosts_is_no_target_with_tls(world: World) -> None:
    """Over gRPC nobody could tell whom to expect, so that is said at once."""
    from servicekit.channel import open_channel

    with pytest.raises(ValueError, match="lists several hosts"):
        open_channel("ipv4:10.0.0.1:81,10.0.0.2:81", max_message_bytes=1, tls=world.gateway.tls())


SERVERS: dict[str, Callable[[World], Tls | None]] = {
    "in plain text": lambda _: None,
    "of another authority": lambda world: world.folder("s", world.foreign.issue_cert(*HERE), world.authority).tls(),
    "whose certificate has ended": lambda world: world.folder("s", expired(world.authority, *HERE)).tls(),
    "of another name": lambda world: world.folder("s", world.authority.issue_cert("postprocess")).tls(),
}


@pytest.mark.parametrize("make", SERVERS.values(), ids=SERVERS)
async def test_a_server_that_is_not_whom_to_expect_gets_no_call(
    world: World, make: Callable[[World], Tls | None], *, link: bool
) -> None:
    """The call is UNAVAILABLE, what callers may read tells nothing, and over links the log names the cause."""
    with capture_logs() as lines:
        async with (
            _serving(make(world)) as (server, service),
            opened(_target(server, link=link), tls=world.gateway.tls()) as channel,
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await _call(channel)

    assert (grpc.StatusCode.UNAVAILABLE, 0) == (caught.value.code(), service.calls)
    if link:
        assert not [word for word in SECRETS if word in str(caught.value.details())]
        assert "a link does not come about" in [line["event"] for line in lines]


CALLERS: dict[str, tuple[Callable[[World], Tls | None], str]] = {
    "in plain text": (lambda _: None, ""),
    "of another authority": (
        lambda world: world.folder("c", world.foreign.issue_cert("gateway"), world.authority).tls(),
        "unable to get local issuer certificate",
    ),
    "whose certificate has ended": (
        lambda world: world.folder("c", expired(world.authority, "gateway")).tls(),
        "certificate has expired",
    ),
    "of another name": (
        lambda world: world.folder("c", world.authority.issue_cert("grafana")).tls(),
        "its certificate is for grafana, which is no allowed caller",
    ),
    "without a name": (
        lambda world: world.folder("c", world.authority.issue_cert("10.0.0.1")).tls(),
        "its certificate is for no name, which is no allowed caller",
    ),
}


@pytest.mark.parametrize(("make", "problem"), CALLERS.values(), ids=CALLERS)
async def test_a_caller_who_is_not_allowed_is_refused(
    world: World, make: Callable[[World], Tls | None], problem: str, *, link: bool
) -> None:
    """No handler runs; the caller learns that it is refused and nothing else, and the log of the server says why."""
    with capture_logs() as lines:
        async with (
            _serving(world.server.tls("gateway")) as (server, service),
            opened(_target(server, link=link), tls=make(world)) as channel,
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await _call(channel)

    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED)
    assert 0 == service.calls
    if link:
        said = [line["problem"] for line in lines if line["event"] == "a connection is refused"]
        assert any(problem in each for each in said)
        assert not [word for word in SECRETS if word in str(caught.value.details())]


async def test_a_caller_without_a_certificate_is_refused(world: World, *, link: bool) -> None:
    """Trusting the server is not enough."""
    root = world.authority.cert_pem.bytes()
    async with _serving(world.server.tls()) as (server, service):
        if link:
            context = ssl.create_default_context(cadata=root.decode())
            reader, writer = await asyncio.open_connection("127.0.0.1", server.link_port, ssl=context)
            assert b"" == await reader.read()  # a client of TLS 1.3 has said its part before the server looks at it
            writer.close()
        else:
            credentials = grpc.ssl_channel_credentials(root)
            async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", credentials) as channel:
                assert not await _answers(channel)

    assert 0 == service.calls


async def test_an_allowed_caller_is_answered(world: World, *, link: bool) -> None:
    """One of its names is enough, in whatever case."""
    caller = world.folder("c", world.authority.issue_cert("gateway.default.svc", "Gateway"))
    async with (
        _serving(world.server.tls("gateway")) as (server, _),
        opened(_target(server, link=link), tls=caller.tls()) as channel,
    ):
        assert pb.ClassifyResponse() == await _call(channel)


async def test_every_method_asks_who_calls(world: World) -> None:
    """Health, its Watch, streams and reflection are closed to callers who are not allowed, too."""
    caller = world.folder("c", world.authority.issue_cert("grafana"))
    async with (
        _serving(world.server.tls("gateway"), reflection=True) as (server, service),
        opened(f"ipv4:127.0.0.1:{server.port}", tls=caller.tls()) as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        stub = pb_grpc.ClassificationServiceStub(channel)
        # Nothing is sent on the streams: gRPC reports INTERNAL where its own write meets the refusal half way.
        streams = [
            health.Watch(health_pb2.HealthCheckRequest(), timeout=5),
            stub.ClassifyStream(timeout=5),
            reflection.ServerReflectionInfo(timeout=5),
        ]
        codes = [await _code(health.Check(health_pb2.HealthCheckRequest(), timeout=5))]
        codes += [await _code(stub.ListModels(pb.ListModelsRequest(), timeout=5))]
        codes += [await _code(stream.read()) for stream in streams]

    assert ([grpc.StatusCode.UNAUTHENTICATED] * 5, 0) == (codes, service.calls)


async def _code(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def test_every_method_is_open_to_an_allowed_caller(world: World) -> None:
    """Unary calls, Watch, streams and reflection pass through the check as they were."""
    async with (
        _serving(world.server.tls("gateway"), reflection=True) as (server, _),
        opened(f"ipv4:127.0.0.1:{server.port}", tls=world.gateway.tls()) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=5)
        stream = pb_grpc.ClassificationServiceStub(channel).ClassifyStream(
            iter([pb.ClassifyStreamRequest(frame=7)]), timeout=5
        )
        names = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5
        )

        assert health_pb2.HealthCheckResponse.SERVING == (await watch.read()).status
        answer: Any = await stream.read()
        assert 7 == answer.frame
        assert SERVICE in [each.name for each in (await names.read()).list_services_response.service]


async def test_old_versions_of_tls_are_refused(world: World) -> None:
    """TLS 1.2 is the least."""
    context = ssl.create_default_context(cadata=world.authority.cert_pem.bytes().decode())
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with _serving(world.server.tls()) as (server, _):
        for port in (server.port, server.link_port):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", port, ssl=context)


async def test_a_handshake_that_never_ends_is_cut(world: World, monkeypatch: pytest.MonkeyPatch, *, link: bool) -> None:
    """A caller who says nothing, or a byte now and then, is let go within the bound; others are served meanwhile."""
    monkeypatch.setattr(tls_module, "TIMEOUTS", {**tls_module.TIMEOUTS, "ssl_handshake_timeout": 1.0})
    async with (
        _serving(world.server.tls()) as (server, _),
        opened(_target(server, link=link), tls=world.gateway.tls()) as channel,
    ):
        began = time.monotonic()
        port = server.link_port if link else server.port
        slow = [asyncio.create_task(_dripping(port, drip)) for drip in (b"", b"\x16\x03\x01\x02\x00\x01")]
        assert await _answers(channel)
        await asyncio.gather(*slow)

    assert 8 > time.monotonic() - began


async def _dripping(port: int, content: bytes) -> None:
    """Sends a byte each 0.2 s, until the other end has enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for byte in content:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.2)
    try:
        while await reader.read(1000):
            pass
    except ConnectionError:
        pass
    finally:
        writer.close()


async def test_a_process_without_its_certificate_ends_with_a_sentence(world: World) -> None:
    """It names the variable, and there is no traceback."""
    world.server.key.unlink()
    async with running_process("fakes.draining_server", world.path, **world.server.settings()) as process:
        code = await process.process.wait()
    last = process.log.read_text().splitlines()[-1]

    assert (1, f"draining: TRIPTYCH_TLS_KEY_FILE: {world.server.key} cannot be read: No such file or directory.") == (
        code,
        last,
    )
