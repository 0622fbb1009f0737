"""What the gateway's HTTP side does to those who send too much, too slowly, or what is no HTTP."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours
from fakes.servers import eventually
from structlog.testing import capture_logs

MIB = 2**20
CLASSIFY = "/api/v1/classify"
ONE = {"image_base64": base64.b64encode(b"a").decode()}
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


async def _raw(gateway: Gateway, *pieces: bytes) -> tuple[int, dict[str, Any]]:
    """Sends bytes, reads until the server closes, and returns the status and the error."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.http.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.05)  # so that the server reads each by itself
        head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return int(head.split()[1]), json.loads(body)["error"]


@pytest.mark.parametrize(
    "headers",
    [b"".join(b"x%d: 1\r\n" % number for number in range(200)), b"x: " + b"a" * 100_000 + b"\r\n"],
    ids=["many", "long"],
)
async def test_too_large_headers_are_431(gateway: Gateway, headers: bytes) -> None:
    """More than 100 headers, or 64 KiB of them, are refused in the shape of every error, with a request id."""
    status, error = await _raw(gateway, REQUEST + headers + b"\r\n")

    assert (431, 431, "REQUEST_TOO_LARGE", 32) == (status, error["code"], error["reason"], len(error["request_id"]))


@pytest.mark.parametrize("start", [REQUEST + b"x: ", b"GET /"], ids=["header", "path"])
async def test_a_head_without_end_is_cut_off(gateway: Gateway, start: bytes) -> None:
    """A header or path that goes on for ever is not collected."""
    status, error = await _raw(gateway, start, *[b"a" * 16_384] * 5)

    assert (431, "REQUEST_TOO_LARGE") == (status, error["reason"])


async def test_a_drain_answers_whom_it_had_not_accepted_yet(gateway: Gateway) -> None:
    """A client that connected in the moment when the listener closes is accepted, and its late request answered."""
    client = socket.create_connection(("127.0.0.1", gateway.http.port))  # keeps the event loop from accepting
    client.settimeout(0)
    drained = asyncio.ensure_future(gateway.http.drain())
    await asyncio.sleep(0.4)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, REQUEST + b"\r\n")
    answer = await asyncio.wait_for(loop.sock_recv(client, 4096), 5)
    client.close()
    await drained

    assert b"HTTP/1.1 200 OK" == answer.partition(b"\r\n")[0]
    assert b"connection: close" in answer


async def test_one_hundred_headers_are_taken(gateway: Gateway) -> None:
    """The most is allowed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.http.port)
    writer.write(REQUEST + b"".join(b"x%d: 1\r\n" % number for number in range(99)) + b"\r\n")

    assert b"HTTP/1.1 200 OK\r\n" == await reader.readline()
    writer.close()


async def test_what_is_no_http_is_told_in_the_usual_shape(gateway: Gateway) -> None:
    """A bad request line is a 400 like any other."""
    status, error = await _raw(gateway, b"NONSENSE\r\n\r\n")

    assert (400, "REQUEST_MALFORMED") == (status, error["reason"])


@pytest.mark.parametrize("sent", [b"", REQUEST, b"\r\n"], ids=["nothing", "half a head", "a line"])
async def test_a_client_that_sends_no_request_is_let_go(behind: Neighbours, sent: bytes) -> None:
    """Neither silence nor half a request keeps a connection open."""
    async with running_gateway(behind, http_head_timeout_s=0.2) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.http.port)
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 3)
        writer.close()

    assert answer[9:12] == (b"408" if sent == REQUEST else b"")


@pytest.mark.parametrize("trickle", [b"", b"\r\n"], ids=["silence", "empty lines"])
async def test_an_idle_connection_is_closed(behind: Neighbours, trickle: bytes) -> None:
    """After an answer a connection waits only so long for the next request, also when bytes come that are none."""
    async with running_gateway(behind, http_idle_timeout_s=1, http_head_timeout_s=0.2) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.http.port)
        writer.write(REQUEST + b"\r\n")
        await asyncio.sleep(0.1)
        writer.write(trickle)
        answer = await asyncio.wait_for(reader.read(), 3)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 200 OK")


async def test_a_slow_body_outlives_the_time_for_headers(behind: Neighbours) -> None:
    """Only the headers have to arrive in that time; the body has the request's."""

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"a"
            await asyncio.sleep(0.1)

    async with running_gateway(behind, http_head_timeout_s=0.2) as gateway:
        response = await gateway.client.post(CLASSIFY, content=slowly(), headers={"Content-Type": "image/png"})

    assert 200 == response.status_code


async def test_too_many_connections_are_turned_away(behind: Neighbours) -> None:
    """A connection above the limit is a 503 with the time to come back; those before it are served."""
    async with running_gateway(behind, max_connections=1) as gateway:
        first = await gateway.client.get("/healthz")
        status, error = await _raw(gateway)
        second = await gateway.client.get("/healthz")

    assert (200, 503, "RESOURCE_EXHAUSTED", 200) == (
        first.status_code,
        status,
        error["status"],
        second.status_code,
    )


async def test_bodies_are_bounded_together(behind: Neighbours) -> None:
    """Bodies that would need too much memory at the same time are shed, and the room comes back."""
    async with running_gateway(behind, max_body_bytes_in_flight=MIB) as gateway:
        go_on = asyncio.Event()

        async def first() -> AsyncIterator[bytes]:
            yield b"a" * (MIB - 10)
            await go_on.wait()
            yield b"a"

        headers = {"Content-Type": "image/png"}
        slow = asyncio.ensure_future(gateway.client.post(CLASSIFY, content=first(), headers=headers))
        await eventually(lambda: gateway.http._frame._bytes_in_flight > MIB // 2)
        shed = await gateway.client.post(CLASSIFY, content=b"a" * 100, headers=headers)
        go_on.set()

        assert (200, 429, "1") == ((await slow).status_code, shed.status_code, shed.headers["Retry-After"])
        assert 0 == gateway.http._frame._bytes_in_flight


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/v1/models", "/api/v1/models/tiny", "/docs"])
async def test_head_is_get_without_the_body(gateway: Gateway, path: str) -> None:
    """Load balancers that ask with HEAD get the status and the headers of GET."""
    head, get = await gateway.client.head(path), await gateway.client.get(path)

    assert (200, b"", get.headers["Content-Type"]) == (head.status_code, head.content, head.headers["Content-Type"])


async def test_deadlines_hold_while_a_large_body_is_read(gateway: Gateway) -> None:
    """A large JSON body does not keep the gateway from answering others, nor from its deadline."""
    body = {"images": [{"image_base64": base64.b64encode(bytes(10 * MIB)).decode()}] * 3}
    large = asyncio.ensure_future(gateway.client.post(CLASSIFY, json=body, headers={"x-timeout-ms": "1"}))

    assert (504, 200) == ((await large).status_code, (await gateway.client.get("/healthz")).status_code)


async def test_the_log_tells_why_and_how_much(behind: Neighbours) -> None:
    """A failed request's line has the reason and the size of the answer; a failure of ours is a warning."""
    async with running_gateway(behind, request_log=True) as gateway:
        await behind.inference.stop()
        await gateway.becomes(ready=False)
        with capture_logs() as lines:
            theirs: httpx.Response = await gateway.client.post(CLASSIFY, json={**ONE, "top_k": 0})
            ours: httpx.Response = await gateway.client.post(CLASSIFY, json=ONE)
            await eventually(lambda: len([line for line in lines if line["event"] == "http"]) == 2)

    assert [
        ("info", 400, "FIELD_INVALID", len(theirs.content)),
        ("warning", 503, "DEPENDENCY_UNAVAILABLE", len(ours.content)),
    ] == [
        (line["log_level"], line["status"], line["reason"], line["bytes"]) for line in lines if line["event"] == "http"
    ]
