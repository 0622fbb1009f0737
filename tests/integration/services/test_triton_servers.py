"""Triton servers that come and go behind a name, as a headless service's pods do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes.names import Names
from fakes.repository import CLASSES, HEIGHT, WIDTH, manifest
from fakes.servers import eventually
from fakes.triton import Context, FakeTriton

from servicekit.errors import Unavailable
from servicekit.health import Readiness
from servicekit.manifest import Manifest
from services.inference.pool import CONDITION, TritonPool
from services.inference.servers import TritonServers, named
from services.inference.triton import Logits, Triton

NAME = "dns:///triton:8001"
TINY = Manifest.model_validate(manifest(temperatures={"1": 1.0, "2": 1.0}))
ESTABLISHED = "01"
ONE_ROW = bytes(HEIGHT * WIDTH * 3)


@asynccontextmanager
async def _pool(*targets: str) -> AsyncIterator[TritonPool]:
    servers = TritonServers(targets, partial(Triton, max_message_bytes=2**24))
    pool = TritonPool(servers, {"tiny": TINY}, Readiness(CONDITION), 0.02)
    async with pool.running():
        yield pool


async def _infer(pool: TritonPool) -> Logits:
    return await pool.infer(TINY, "1", 1, [ONE_ROW], 5)


def _instances(pool: TritonPool) -> int:
    """Returns how many servers have the first version ready; each of them has one instance of it."""
    loaded = pool.loaded().get(("tiny", "1"))
    return loaded.instances if loaded and not loaded.problem else 0


def _connections(port: int) -> int:
    """Counts this process's connections to a port, as the kernel knows them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(remote.endswith(f":{port:04X}") and state == ESTABLISHED for _, _, remote, state, *_ in rows)


class Held:
    """Answers requests once it is told to."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()

    async def __call__(self, _request: Any, response: Any, _context: Context) -> Any:
        """Waits, then answers honestly."""
        await self.goes_on.wait()
        return response


async def test_every_address_of_a_name_is_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go to all of them, besides the server that is listed by its own address."""
    names, held = Names(monkeypatch, "triton", 8001), Held()
    async with FakeTriton(TINY).running() as listed, FakeTriton(TINY).running() as a, FakeTriton(TINY).running() as b:
        names.ports = [a.port, b.port]
        async with _pool(listed.target, NAME) as pool:
            await eventually(lambda: _instances(pool) == 3)
            tritons = (listed, a, b)
            for triton in tritons:
                triton.answer = held
            calls = [asyncio.ensure_future(_infer(pool)) for _ in range(6)]
            await eventually(lambda: sum(len(triton.requests) for triton in tritons) == 6)
            spread = [len(triton.requests) for triton in tritons]
            held.goes_on.set()
            await asyncio.gather(*calls)

    assert [2, 2, 2] == spread


async def test_who_comes_gets_requests_and_who_leaves_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that the name no longer leads to still answers what it was asked, and its connection is closed then."""
    names, held = Names(monkeypatch, "triton", 8001), Held()
    async with FakeTriton(TINY).running() as old, FakeTriton(TINY).running() as new, _pool(NAME) as pool:
        names.ports = [old.port]
        await eventually(lambda: _instances(pool) == 1)
        old.answer = held
        call = asyncio.ensure_future(_infer(pool))
        await eventually(lambda: len(old.requests) == 1)
        names.ports = [new.port]
        await eventually(lambda: new.examinations != [] and _instances(pool) == 1)
        await asyncio.gather(*(_infer(pool) for _ in range(3)))
        requests = (len(old.requests), len(new.requests))
        held.goes_on.set()
        logits = await call
        await eventually(lambda: _connections(old.port) == 0)

    assert ((1, 3), CLASSES * 4) == (requests, len(logits.data))


async def test_a_resolver_that_is_away_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that answer go on; before there are any, requests are refused at once."""
    names = Names(monkeypatch, "triton", 8001)
    async with FakeTriton(TINY).running() as triton, _pool(NAME) as pool:
        with pytest.raises(Unavailable):
            await _infer(pool)
        names.ports = [triton.port]
        await eventually(lambda: _instances(pool) == 1)
        names.ports = []
        await asyncio.sleep(0.1)
        await _infer(pool)

    assert 1 == len(triton.requests)


@pytest.mark.parametrize("target", ["dns:///triton", "dns:///triton:0", "dns:///:8001", "dns:///a:1/b"])
def test_a_name_without_a_port_is_refused(target: str) -> None:
    """What begins like a name has to be one."""
    with pytest.raises(ValueError, match="dns:///triton:8001"):
        named(target)
