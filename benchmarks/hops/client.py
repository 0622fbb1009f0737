"""The client process of one shape: measures each of its cells and prints them, a line of JSON each."""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.hops import frames, grpc_hop
from benchmarks.hops.codecs import Codec
from benchmarks.hops.payload import Hop
from benchmarks.hops.shapes import SHAPES, Shape, codecs

Send = Callable[[], Awaitable[None]]
WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Cell:
    """Is what one shape, hop and batch cost in one round."""

    shape: str
    hop: str
    images: int
    in_flight: int
    client_cpu_ms: float
    """CPU time of the client process per image, user and system."""
    server_cpu_ms: float
    p50_ms: float
    """Median time of a message with one in flight."""
    images_per_s: float


def cpu_s(pid: int) -> float:
    """Returns the CPU time that a process has had: Linux has a clock for each, which is finer than /proc."""
    return time.clock_gettime(~pid << 3 | 2)


async def _latency_ms(send: Send, seconds: float) -> float:
    times_ms: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        await send()
        times_ms.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times_ms)


async def _saturate(send: Send, in_flight: int, seconds: float) -> int:
    """Keeps `in_flight` messages on the way and returns how many were answered."""
    end = time.perf_counter() + seconds
    answered = 0

    async def loop() -> None:
        nonlocal answered
        while time.perf_counter() < end:
            await send()
            answered += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(loop())
    return answered


def _sender(call: Callable[[Any], Awaitable[Any]], codec: Codec, hop: Hop, images: int) -> Send:
    rows = [os.urandom(hop.request_bytes) for _ in range(images)]

    async def send() -> None:
        answers = codec.rows(await call(codec.request(rows)))
        if [len(answer) for answer in answers] != [hop.response_bytes] * images:
            raise RuntimeError(f"The {hop.name} hop answered {len(answers)} rows for {images}.")

    return send


async def _calls(shape: Shape, address: str, own: dict[str, Codec]) -> dict[str, Callable[[Any], Awaitable[Any]]]:
    if shape.transport == "frames":
        client = frames.FramesClient()
        await client.connect(shape, address)
        return {name: partial(client.call, index) for index, name in enumerate(own)}
    channel, metrics = grpc_hop.connect(shape, address), grpc_hop.client_metrics()
    return {hop.name: grpc_hop.call(shape, channel, hop.method, own[hop.name], metrics) for hop in shape.hops}


async def _measure(shape: Shape, hop: Hop, images: int, send: Send, options: argparse.Namespace) -> Cell:
    for _ in range(WARM_UP):
        await send()
    p50_ms = await _latency_ms(send, options.seconds / 3)
    pids = (os.getpid(), options.server)
    before, start = [cpu_s(pid) for pid in pids], time.perf_counter()
    done = images * await _saturate(send, options.in_flight, options.seconds * 2 / 3)
    spent, took_s = [cpu_s(pid) - was for pid, was in zip(pids, before, strict=True)], time.perf_counter() - start
    client_ms, server_ms = (seconds * 1e3 / done for seconds in spent)
    return Cell(shape.name, hop.name, images, options.in_flight, client_ms, server_ms, p50_ms, done / took_s)


async def _run(options: argparse.Namespace) -> None:
    shape = SHAPES[options.shape]
    own = codecs(shape, options.directory)
    calls = await _calls(shape, options.address, own)
    for hop in shape.hops:
        for images in shape.images:
            send = _sender(calls[hop.name], own[hop.name], hop, images)
            cell = await _measure(shape, hop, images, send, options)
            sys.stdout.write(json.dumps(asdict(cell)) + "\n")
            sys.stdout.flush()


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--server", type=int, required=True, help="the server's process id")
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    uvloop.run(_run(_options(sys.argv[1:])))
    sys.stdout.flush()
    os._exit(0)  # streams and channels end with the process; closing them one by one is not what is measured
