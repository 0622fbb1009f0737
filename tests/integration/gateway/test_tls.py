"""TLS at the gateway's edge: HTTPS and gRPC with one certificate, and clients that may have to show theirs."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from fakes.certificates import HERE, Folder
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours

from servicekit import tls as tls_module
from servicekit.tls import EDGE, Tls
from servicekit.tls_files import PemFile, TlsFiles
from triptych import AsyncClient, ClassifyError
from triptych import Tls as ClientTls

READY = "/readyz"


class Edge:
    """Is the gateway's certificate and a client's, of one authority."""

    def __init__(self, path: Path, *, clients: bool) -> None:
        self.authority = trustme.CA()
        self.gateway, self.client = Folder(path / "gateway"), Folder(path / "client")
        self.renew()
        self.client.put(self.authority.issue_cert("somebody"), self.authority)
        names = self.gateway.edge_settings(clients=clients)
        self.tls = Tls(EDGE, TlsFiles(*(PemFile(name, file) for name, file in names.items())))

    def renew(self) -> None:
        """Gives the gateway another certificate."""
        self.gateway.put(self.authority.issue_cert(*HERE), self.authority)

    def context(self, *, shown: bool = False) -> ssl.SSLContext:
        """Returns what a client of HTTPS has."""
        context = ssl.create_default_context(cafile=str(self.client.authorities))
        if shown:
            context.load_cert_chain(self.client.certificate, self.client.key)
        return context

    def options(self, *, shown: bool = False) -> ClientTls:
        """Returns what a client of gRPC has."""
        own = (self.client.certificate, self.client.key) if shown else ()
        return ClientTls(self.client.authorities, *own)


@asynccontextmanager
async def _secured(path: Path, *, clients: bool = False) -> AsyncIterator[tuple[Edge, Gateway]]:
    edge = Edge(path, clients=clients)
    async with Neighbours(linked=True).running() as behind, running_gateway(behind, tls=edge.tls) as gateway:
        yield edge, gateway


async def _get(gateway: Gateway, context: ssl.SSLContext) -> int:
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        return (await client.get(f"https://127.0.0.1:{gateway.http_port}{READY}")).status_code


async def test_both_ports_speak_tls(tmp_path: Path) -> None:
    """One certificate serves HTTPS and gRPC; the client of the package reaches the latter."""
    async with _secured(tmp_path) as (edge, gateway):
        async with AsyncClient(f"https://localhost:{gateway.grpc_port}", tls=edge.options()) as client:
            label = (await client.classify(b"A picture.")).best.label
        async with httpx.AsyncClient(verify=edge.context(), trust_env=False) as browser:
            answer = await browser.post(
                f"https://127.0.0.1:{gateway.http_port}/api/v1/classify",
                content=b"A picture.",
                headers={"Content-Type": "image/png"},
            )

    assert (200, label) == (answer.status_code, answer.json()["predictions"][0]["label"])


async def test_plain_text_is_refused(tmp_path: Path) -> None:
    """Neither port answers a word to whoever does not speak TLS."""
    async with _secured(tmp_path) as (_, gateway):
        with pytest.raises(httpx.RemoteProtocolError):
            await gateway.client.get(READY)
        async with AsyncClient(f"127.0.0.1:{gateway.grpc_port}") as client:
            with pytest.raises(ClassifyError, match="UNAVAILABLE"):
                await client.classify(b"A picture.")


async def test_the_client_checks_whom_it_reached(tmp_path: Path) -> None:
    """An authority that it does not know, and a name that is not the certificate's, end the call in words."""
    strange = Folder(tmp_path / "strange").put(trustme.CA().issue_cert("x"), trustme.CA())
    async with _secured(tmp_path) as (edge, gateway):
        edge.gateway.put(edge.authority.issue_cert("elsewhere.example"), edge.authority)
        address = f"127.0.0.1:{gateway.grpc_port}"
        async with AsyncClient(address, tls=ClientTls(strange.authorities)) as client:
            with pytest.raises(ClassifyError, match="from nobody who is trusted here"):
                await client.classify(b"A picture.")
        edge.tls.refresh()
        async with AsyncClient(address, tls=edge.options()) as client:
            with pytest.raises(ClassifyError, match="is for another name"):
                await client.classify(b"A picture.")


async def test_clients_may_have_to_show_certificates(tmp_path: Path) -> None:
    """Where the gateway asks for them, only those who have one of its authority are answered, over both ports."""
    async with _secured(tmp_path, clients=True) as (edge, gateway):
        address = f"127.0.0.1:{gateway.grpc_port}"
        async with AsyncClient(address, tls=edge.options(shown=True)) as known:
            assert await known.ready(timeout_s=5)
        async with AsyncClient(address, tls=edge.options()) as unknown:
            assert not await unknown.ready(timeout_s=5)
        assert 200 == await _get(gateway, edge.context(shown=True))
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await _get(gateway, edge.context())


async def test_a_new_certificate_is_shown_to_new_clients(tmp_path: Path) -> None:
    """Both ports have it, and a connection that is open goes on."""
    async with _secured(tmp_path) as (edge, gateway):
        url = f"https://127.0.0.1:{gateway.http_port}{READY}"
        async with httpx.AsyncClient(verify=edge.context(), trust_env=False) as old:
            await old.get(url)
            before = [await _shown(port) for port in (gateway.http_port, gateway.grpc_port)]
            edge.renew()
            edge.tls.refresh()
            after = [await _shown(port) for port in (gateway.http_port, gateway.grpc_port)]

            assert 200 == (await old.get(url)).status_code
    assert before[0] == before[1] != after[0] == after[1]


async def _shown(port: int) -> Any:
    """Returns the certificate that a port shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        return writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()


async def test_half_open_connections_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred clients that never finish a handshake are let go within its bound; others are served meanwhile."""
    monkeypatch.setattr(tls_module, "TIMEOUTS", {**tls_module.TIMEOUTS, "ssl_handshake_timeout": 1.0})
    async with _secured(tmp_path) as (edge, gateway):
        began = time.monotonic()
        slow = [await asyncio.open_connection("127.0.0.1", gateway.http_port) for _ in range(200)]
        for _, writer in slow:
            writer.write(b"\x16\x03\x01")
        assert 200 == await _get(gateway, edge.context())
        await asyncio.gather(*(reader.read() for reader, _ in slow), return_exceptions=True)
        for _, writer in slow:
            writer.close()

    assert 8 > time.monotonic() - began


async def test_a_drain_does_not_wait_for_whoever_says_no_goodbye(tmp_path: Path) -> None:
    """A client that leaves its connection open without a word does not keep the gateway."""
    async with _secured(tmp_path) as (edge, gateway):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.http_port, ssl=edge.context())
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in await reader.readline()
        began = time.monotonic()
    writer.close()

    assert 6 > time.monotonic() - began


async def test_a_gateway_in_plain_text_is_no_gateway_over_tls() -> None:
    """The client that was told to use TLS never falls back."""
    async with (
        Neighbours(linked=True).running() as behind,
        running_gateway(behind) as gateway,
        AsyncClient(f"https://127.0.0.1:{gateway.grpc_port}") as client,
    ):
        with pytest.raises(ClassifyError, match="does not speak TLS"):
            await client.classify(b"A picture.")
