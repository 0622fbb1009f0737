"""Measures what an answer that needs no work costs the gateway, without the transport: digest, look-up, single flight.

Prints CPU-microseconds, the least of several rounds; two other digests stand beside ours.
"""

import argparse
import asyncio
import hashlib
import secrets
import sys
import time
import timeit
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import uvloop

from gateway.result_cache import ResultCache, digest, make_key
from gateway.single_flight import SingleFlight
from triptych.classification.v1.classification_pb2 import Classification, Prediction

ROUNDS = 9
RECIPE = "0123456789abcdef"
ANSWER = Classification(
    model="efficientnet_lite0",
    version="1",
    predictions=[
        Prediction(index=281 + place, label="tabby, tabby cat", score=0.5 ** (place + 1)) for place in range(5)
    ],
)


def cpu_us(call: Callable[[], object], calls: int) -> float:
    """Returns the microseconds of CPU that one call takes."""
    return min(timeit.repeat(call, number=calls, repeat=ROUNDS, timer=time.process_time)) / calls * 1e6


def key(content_digest: bytes) -> bytes:
    """Returns the key of an image of the only model."""
    return make_key(ANSWER.model, ANSWER.version, RECIPE, content_digest)


def cache_costs(content: bytes, entries: int, calls: int) -> Iterator[tuple[str, float]]:
    """Yields what the cache costs, holding `entries` answers and having no room for more."""
    one = ResultCache(2**20, ttl_s=3600)
    one.put(key(digest(content)), ANSWER, 5, 0.0)
    cache = ResultCache(one.size_bytes * entries, ttl_s=3600)
    keys = [key(secrets.token_bytes(32)) for _ in range(entries)]
    for each in keys:
        cache.put(each, ANSWER, 5, 0.0)
    cache.put(key(digest(content)), ANSWER, 5, 0.0)
    known, absent, fresh = key(digest(content)), key(bytes(32)), iter(lambda: key(secrets.token_bytes(32)), b"")
    yield "make_key", cpu_us(lambda: key(bytes(32)), calls)
    yield "get, a hit of five predictions", cpu_us(lambda: cache.get(known, 5, 0.0), calls)
    yield "get, a hit cut to three", cpu_us(lambda: cache.get(known, 3, 0.0), calls)
    yield "get, a miss", cpu_us(lambda: cache.get(absent, 5, 0.0), calls)
    yield "digest + make_key + get", cpu_us(lambda: cache.get(key(digest(content)), 5, 0.0), calls)
    yield "put, driving out another", cpu_us(lambda: cache.put(next(fresh), ANSWER, 5, 0.0), calls)


async def flight_us(callers: int, calls: int, *, fly: bool) -> float:
    """Returns the CPU per call when `callers` at a time ask for the same thing that takes one turn of the loop."""
    flights = SingleFlight[None]()

    async def make() -> None:
        await asyncio.sleep(0)

    call: Callable[[], Coroutine[Any, Any, None]] = (lambda: flights.run("key", make)) if fly else make
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(calls // callers):
            await asyncio.gather(*(call() for _ in range(callers)))
        best = min(best, time.process_time() - start)
    return best / (calls // callers * callers) * 1e6


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=75_000, help="size of the image (default: 75000)")
    parser.add_argument("--entries", type=int, default=20_000, help="answers in the cache (default: 20000)")
    parser.add_argument("--calls", type=int, default=2_000, help="calls per round (default: 2000)")
    options = parser.parse_args()
    content = secrets.token_bytes(options.bytes)
    rows = {
        f"digest of {options.bytes} bytes (BLAKE3)": cpu_us(lambda: digest(content), options.calls),
        "  the same with SHA-256": cpu_us(lambda: hashlib.sha256(content).digest(), options.calls),
        "  the same with BLAKE2b": cpu_us(lambda: hashlib.blake2b(content, digest_size=32).digest(), options.calls),
        **dict(cache_costs(content, options.entries, options.calls)),
    }
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for callers in (1, 8):
            alone, shared = (runner.run(flight_us(callers, options.calls, fly=fly)) for fly in (False, True))
            rows[f"single flight, per call, {callers} at a time"] = shared - alone
    for name, microseconds in rows.items():
        sys.stdout.write(f"{name:<40} {microseconds:8.2f} us\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
