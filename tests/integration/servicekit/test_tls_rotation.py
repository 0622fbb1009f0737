"""Certificates and authorities are exchanged under load, over gRPC and over links: no call is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
import trustme
from fakes.certificates import HERE, Folder
from fakes.scripted import SERVICE, Context, ScriptedService
from fakes.servers import eventually, link_target, opened, running_server

from servicekit import tls as tls_module
from servicekit.server import GrpcServer
from servicekit.tls import INTERNAL, Tls, following
from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_module, "FOLLOW_INTERVAL_S", 0.02)


@pytest.fixture(params=["grpc", "link"])
def link(request: pytest.FixtureRequest) -> bool:
    """Whether calls go over links."""
    return bool(request.param == "link")


class Pair:
    """Is a server and a caller that both follow files of their own, and the calls between them."""

    def __init__(self, path: Path, *, link: bool) -> None:
        self.link = link
        self.server_files, self.caller_files = Folder(path / "server"), Folder(path / "caller")
        self.answered = 0
        self.failed: list[grpc.aio.AioRpcError] = []
        self.server_tls: Tls
        self.caller_tls: Tls
        self.server: GrpcServer

    def give(self, issuer: trustme.CA, *trusted: trustme.CA) -> None:
        """Puts new certificates of `issuer` into the files of both, and whom they trust."""
        self.server_files.put(issuer.issue_cert(*HERE), *trusted)
        self.caller_files.put(issuer.issue_cert("gateway"), *trusted)

    async def taken(self) -> None:
        """Waits until both have what was given, and some calls were made with it."""
        for files, tls in ((self.server_files, self.server_tls), (self.caller_files, self.caller_tls)):
            await eventually(lambda files=files, tls=tls: files.files.read() == tls.pem)  # type: ignore[misc] # bound here
        before = self.answered
        await eventually(lambda: self.answered > before + 50)

    @property
    def target(self) -> str:
        """Says where the server is."""
        return link_target(self.server.link_port) if self.link else f"ipv4:127.0.0.1:{self.server.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Has eight callers call without a pause while the context is open."""
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            self.server_tls = _some(await enter(following(INTERNAL, self.server_files.files)))
            self.caller_tls = _some(await enter(following(INTERNAL, self.caller_files.files)))
            self.server = await enter(running_server(ScriptedService().register, [SERVICE], tls=self.server_tls))
            channel = await enter(opened(self.target, tls=self.caller_tls))
            calls = [asyncio.create_task(self._call(channel)) for _ in range(8)]
            yield
            for each in calls:
                each.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _call(self, channel: grpc.aio.Channel) -> None:
        stub = pb_grpc.ClassificationServiceStub(channel)
        while True:
            try:
                await stub.Classify(pb.ClassifyRequest(), timeout=5)
                self.answered += 1
            except grpc.aio.AioRpcError as error:
                self.failed.append(error)
            await asyncio.sleep(0.001)


def _some(tls: Tls | None) -> Tls:
    assert tls is not None
    return tls


async def _reaches(pair: Pair, tls: Tls) -> bool:
    """Says whether a new connection with these certificates is answered."""
    async with opened(pair.target, tls=tls) as channel:
        try:
            await pb_grpc.ClassificationServiceStub(channel).Classify(pb.ClassifyRequest(), timeout=5)
        except grpc.aio.AioRpcError:
            return False
    return True


async def test_an_authority_is_replaced_under_load(tmp_path: Path, *, link: bool) -> None:
    """With an overlap no call fails, and whoever has a certificate of the old authority is refused when it is gone."""
    old, new = trustme.CA(), trustme.CA()
    pair = Pair(tmp_path, link=link)
    pair.give(old, old)
    of_old = Folder(tmp_path / "of-old").put(old.issue_cert("gateway"), old, new).tls()
    of_new = Folder(tmp_path / "of-new").put(new.issue_cert("gateway"), old, new).tls()
    async with pair.running():
        await pair.taken()
        reached = [(await _reaches(pair, of_old), await _reaches(pair, of_new))]
        for issuer, *trusted in ((old, old, new), (new, old, new), (new, new)):
            pair.give(issuer, *trusted)
            await pair.taken()
            reached.append((await _reaches(pair, of_old), await _reaches(pair, of_new)))

    assert [] == pair.failed
    assert [(True, False), (True, True), (True, True), (False, True)] == reached


async def test_broken_files_cost_nothing(tmp_path: Path, *, link: bool) -> None:
    """While a file is broken, calls and new connections go on with what was there before."""
    authority = trustme.CA()
    pair = Pair(tmp_path, link=link)
    pair.give(authority, authority)
    caller = Folder(tmp_path / "another").put(authority.issue_cert("gateway"), authority).tls()
    async with pair.running():
        await pair.taken()
        pair.server_files.key.unlink()
        pair.caller_files.certificate.write_bytes(b"nothing")
        before = pair.answered
        await eventually(lambda: pair.answered > before + 50)

        assert await _reaches(pair, caller)
    assert [] == pair.failed


async def test_a_call_under_way_outlives_the_certificate(tmp_path: Path, *, link: bool) -> None:
    """It was begun on a connection that is old by now, and is answered there."""
    authority, goes_on, begun = trustme.CA(), asyncio.Event(), asyncio.Event()

    async def held(request: pb.ClassifyRequest, _context: Context) -> pb.ClassifyResponse:
        if request.model == "held":
            begun.set()
            await goes_on.wait()
        return pb.ClassifyResponse()

    files = Folder(tmp_path).put(authority.issue_cert(*HERE), authority)
    tls = files.tls()
    async with running_server(ScriptedService(held).register, [SERVICE], tls=tls) as server:
        target = link_target(server.link_port) if link else f"ipv4:127.0.0.1:{server.port}"
        async with opened(target, tls=tls) as channel:
            stub = pb_grpc.ClassificationServiceStub(channel)
            call = asyncio.ensure_future(stub.Classify(pb.ClassifyRequest(model="held"), timeout=20))
            await begun.wait()
            files.put(authority.issue_cert(*HERE), authority)
            tls.refresh()
            for _ in range(20):
                await stub.Classify(pb.ClassifyRequest(), timeout=5)
            goes_on.set()

            assert pb.ClassifyResponse() == await call
