"""Traffic of all kinds that dashboards show: answers, repeated ones, mistakes, late ones, refusals, an experiment."""

import asyncio
import io
import random
import time
from collections import Counter

import httpx
from PIL import Image

from triptych import AsyncClient, ClassifyError

ROOM = 24
"""Images that the gateway is to have room for, so that a request of more is refused."""
CLASSIFY = "/api/v1/classify"
JPEG = {"Content-Type": "image/jpeg"}
WORKERS = 4


def photographs(count: int) -> list[bytes]:
    """Returns JPEGs that are all different."""
    chance = random.Random(7)  # noqa: S311 (nothing secret)
    return [_jpeg(tuple(chance.randrange(256) for _ in range(3)), 320 + 16 * number) for number in range(count)]


def _jpeg(colour: tuple[int, ...], width: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, 300), colour).save(file, "JPEG")
    return file.getvalue()


async def run(http: str, grpc: str, seconds: float) -> Counter[str]:
    """Sends traffic for a while, over HTTP and gRPC, and returns how many requests ended how."""
    ended: Counter[str] = Counter()
    until = time.monotonic() + seconds
    pictures = photographs(40)
    async with httpx.AsyncClient(base_url=http, timeout=10, trust_env=False) as client, AsyncClient(grpc) as other:
        workers = [_ask_http(client, pictures[number::WORKERS], until, ended) for number in range(WORKERS)]
        others = (_ask_grpc(other, pictures, until, ended), _err(client, pictures, until, ended))
        await asyncio.gather(*workers, *others, _experiment(client, pictures, until, ended))
    return ended


async def _ask_http(client: httpx.AsyncClient, pictures: list[bytes], until: float, ended: Counter[str]) -> None:
    number = 0
    while time.monotonic() < until:
        # A new picture each time, as bytes go: what follows a JPEG's end is not looked at. Each fourth comes again.
        fresh = number.to_bytes(4, "big") if number % 4 else b""
        await _post(client, ended, content=pictures[number % len(pictures)] + fresh, headers=JPEG)
        number += 1


async def _ask_grpc(client: AsyncClient, pictures: list[bytes], until: float, ended: Counter[str]) -> None:
    while time.monotonic() < until:
        try:
            await client.classify_many(pictures[:3])
            ended["grpc OK"] += 1
        except ClassifyError as error:
            ended[f"grpc {error.code}"] += 1
        await asyncio.sleep(0.05)


async def _err(client: httpx.AsyncClient, pictures: list[bytes], until: float, ended: Counter[str]) -> None:
    many = [("image", picture) for picture in pictures[: ROOM + 1]]
    while time.monotonic() < until:
        await _post(client, ended, content=b"no picture", headers=JPEG)
        await _post(client, ended, content=pictures[0] + b"late", headers=JPEG | {"X-Timeout-Ms": "1"})
        await _post(client, ended, files=many)
        ended[f"http {(await client.get('/api/v1/models')).status_code}"] += 1
        await asyncio.sleep(0.2)


async def _experiment(client: httpx.AsyncClient, pictures: list[bytes], until: float, ended: Counter[str]) -> None:
    """Compares two versions, with a shadow, while callers say what was right."""
    arms = [{"name": name, "version": version, "weight": 1} for name, version in (("old", "1"), ("new", "2"))]
    shadows = [{"name": "shadow", "version": "2", "share": 1}]
    experiment = {"name": "seen", "model": "efficientnet_lite0", "arms": arms, "shadows": shadows}
    await _tell(client, ended, "experiments", {"experiment": experiment, "start": True})
    number = 0
    while time.monotonic() < until:
        number += 1
        key = {"X-Route-Key": f"caller-{number}"}
        picture = pictures[number % len(pictures)] + b"keyed" + number.to_bytes(4, "big")
        response = await client.post(CLASSIFY, content=picture, headers=JPEG | key)
        ended[f"http {response.status_code}"] += 1
        if prediction := response.json().get("prediction_id"):
            await _tell(client, ended, "feedback", {"prediction_id": prediction, "label_index": 281})
        await asyncio.sleep(0.05)
    await _tell(client, ended, "experiments/seen/stop", {"reason": "Everything has been seen."})


async def _tell(client: httpx.AsyncClient, ended: Counter[str], path: str, body: dict[str, object]) -> None:
    response = await client.post(f"/api/v1/{path}", json=body)
    ended[f"{path.partition('/')[0]} {response.status_code}"] += 1


async def _post(client: httpx.AsyncClient, ended: Counter[str], **body: object) -> None:
    response = await client.post(CLASSIFY, **body)  # type: ignore[arg-type]
    ended[f"http {response.status_code}"] += 1
