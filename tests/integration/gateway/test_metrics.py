"""The gateway's numbers: they add up to what was sent, and callers cannot make more of them."""

import asyncio
import base64
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import httpx
import pytest
from fakes.gateways import Gateway, running_gateway
from fakes.neighbours import Neighbours, first_bytes
from fakes.servers import eventually
from prometheus_client import REGISTRY, CollectorRegistry

from triptych.classification.v1 import classification_service_pb2 as pb
from triptych.classification.v1 import classification_service_pb2_grpc as pb_grpc
from triptych.classification.v1.classification_pb2 import Image

CLASSIFY = "/api/v1/classify"
HELD = "h"
"""An image that preprocess does not answer before it is let go."""
Send = Callable[..., Awaitable[str]]


@pytest.fixture
async def gateway(behind: Neighbours) -> AsyncIterator[Gateway]:
    """A gateway with room for six images."""
    async with running_gateway(behind, max_in_flight=6) as running:
        yield running


def _totals(registry: CollectorRegistry, name: str, label: str, **chosen: str) -> Counter[str]:
    """Sums a counter by one label."""
    found: Counter[str] = Counter()
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name == name and chosen.items() <= sample.labels.items():
                found[sample.labels[label]] += int(sample.value)
    return found


def _http(gateway: Gateway) -> Send:
    async def send(images: str = "a", timeout_s: float = 5, top_k: int = 1) -> str:
        """Returns the status, or `left`."""
        body = {"images": [{"image_base64": base64.b64encode(each.encode()).decode()} for each in images]}
        headers = {"X-Timeout-Ms": str(round(timeout_s * 1e3))}
        async with httpx.AsyncClient(base_url=gateway.client.base_url, trust_env=False) as client:
            response = await client.post(CLASSIFY, json={**body, "top_k": top_k}, headers=headers)
        return str(response.status_code)

    return send


def _grpc(gateway: Gateway) -> Send:
    async def send(images: str = "a", timeout_s: float = 5, top_k: int = 1) -> str:
        """Returns the code, or `left`."""
        request = pb.ClassifyRequest(images=[Image(content=each.encode()) for each in images], top_k=top_k)
        try:
            await pb_grpc.ClassificationServiceStub(gateway.channel).Classify(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    return send


async def _send_all(send: Send, behind: Neighbours, leave: str) -> Counter[str]:
    """Sends what is answered, refused, at fault, late and left; returns how often each end was seen by the client."""
    let_go = asyncio.Event()

    async def answer(request: Any, response: Any) -> Any:
        if HELD.encode() in first_bytes(request):
            await let_go.wait()
        return response

    behind.preprocess.answer = answer
    ended = Counter(await asyncio.gather(*(send() for _ in range(5))))
    held = [asyncio.ensure_future(send(HELD)) for _ in range(4)]
    await eventually(lambda: REGISTRY.get_sample_value("triptych_in_flight_images") == 4)
    ended += Counter(await asyncio.gather(*(send("ooo") for _ in range(3)), *(send("a", 5, -1) for _ in range(2))))
    ended[await send(HELD, 0.05)] += 1
    for call in held[:2]:
        call.cancel()
    await asyncio.gather(*held[:2], return_exceptions=True)
    await eventually(lambda: REGISTRY.get_sample_value("triptych_in_flight_images") == 2)
    let_go.set()
    ended += Counter(await asyncio.gather(*held[2:]))
    ended[leave] += 2
    return ended


async def test_http_requests_add_up(gateway: Gateway, behind: Neighbours) -> None:
    """To the unit: those sent are those answered, refused, at fault, late and left, by status."""
    counted = ("triptych_http_requests_total", "status")
    before = _totals(REGISTRY, *counted, route=CLASSIFY)
    seen = await _send_all(_http(gateway), behind, leave="499")
    await eventually(lambda: _totals(REGISTRY, *counted, route=CLASSIFY).total() - before.total() == seen.total())

    assert (
        {"200": 7, "400": 2, "429": 3, "499": 2, "504": 1}
        == seen
        == _totals(REGISTRY, *counted, route=CLASSIFY) - before
    )


@pytest.mark.parametrize("transport", ["http", "grpc"])
async def test_requests_add_up(gateway: Gateway, behind: Neighbours, transport: str) -> None:
    """To the unit, whatever transport: the counter of requests has each once, under the code that it ended with."""
    counted = ("triptych_requests_total", "code")
    before = _totals(REGISTRY, *counted, transport=transport)
    send = _http(gateway) if transport == "http" else _grpc(gateway)
    seen = await _send_all(send, behind, leave="CANCELLED")
    await eventually(lambda: (_totals(REGISTRY, *counted, transport=transport) - before).total() == seen.total())

    assert {
        "OK": 7,
        "INVALID_ARGUMENT": 2,
        "RESOURCE_EXHAUSTED": 3,
        "CANCELLED": 2,
        "DEADLINE_EXCEEDED": 1,
    } == _totals(REGISTRY, *counted, transport=transport) - before


async def test_what_began_has_ended(gateway: Gateway, behind: Neighbours) -> None:
    """On both sides of the gateway, as many RPCs were handled as were started, and each arrived at a service."""
    await _send_all(_grpc(gateway), behind, leave="CANCELLED")

    def started_and_handled(side: str, method: str) -> tuple[int, int]:
        found = [
            _totals(gateway.registry, f"grpc_{side}_{what}_total", "grpc_method")[method]
            for what in ("started", "handled")
        ]
        return found[0], found[1]

    await eventually(lambda: started_and_handled("client", "PreprocessImages")[1] == len(behind.preprocess.requests))

    assert (15, 15) == started_and_handled("server", "Classify")
    for method, neighbour in zip(("PreprocessImages", "PredictLogits", "RankLabels"), behind.all, strict=True):
        assert (len(neighbour.requests),) * 2 == started_and_handled("client", method)


async def test_sheds_are_counted_by_limit(gateway: Gateway, behind: Neighbours) -> None:
    """A request that finds no room is one under its limit."""
    before = REGISTRY.get_sample_value("triptych_shed_total", {"limit": "in_flight_images"}) or 0.0

    assert "RESOURCE_EXHAUSTED" == await _grpc(gateway)("ooooooo")
    assert 1 == (REGISTRY.get_sample_value("triptych_shed_total", {"limit": "in_flight_images"}) or 0.0) - before


def _series(gateway: Gateway) -> set[tuple[str, ...]]:
    return {
        (sample.name, *sorted(f"{name}={value}" for name, value in sample.labels.items()))
        for registry in (REGISTRY, gateway.registry)
        for metric in registry.collect()
        for sample in metric.samples
    }


async def _annoy(gateway: Gateway) -> None:
    """Puts fresh names wherever a caller can put one."""
    name = secrets.token_hex(8)
    client, image = gateway.client, {"image_base64": "YQ=="}
    headers = {"X-Request-ID": name, "User-Agent": name, "Traceparent": name, "X-Timeout-Ms": name}
    await client.post(CLASSIFY, json={**image, "model": name})
    await client.post(CLASSIFY, json={**image, "version": name})
    await client.post(CLASSIFY, json={**image, name: name})
    await client.post(CLASSIFY, json=image, headers=headers)
    await client.post(CLASSIFY, content=b"a", headers={"Content-Type": f"image/{name}"})
    await client.post(f"{CLASSIFY}?{name}={name}", content=b"a", headers={"Content-Type": "image/png"})
    await client.get(f"/{name}")
    await client.get(f"/api/v1/models/{name}")
    await client.get(f"{CLASSIFY}/{name}")
    await client.request(name.upper(), CLASSIFY)
    for method in (f"/{name}.{name}/{name}", f"/triptych.classification.v1.ClassificationService/{name}"):
        untyped: Any = gateway.channel.unary_unary(method)
        with pytest.raises(grpc.aio.AioRpcError):
            await untyped(name.encode(), metadata=((f"x-{name}", name),))
    request = pb.ClassifyRequest(images=[Image(content=b"a")], model=name, version=name)
    with pytest.raises(grpc.aio.AioRpcError):
        await pb_grpc.ClassificationServiceStub(gateway.channel).Classify(request)


async def test_callers_cannot_make_series(gateway: Gateway) -> None:
    """Names of models, paths, methods and headers that nobody has used before add no series."""
    await _annoy(gateway)
    before = _series(gateway)
    await _annoy(gateway)

    assert set() == _series(gateway) - before
