"""Measures the limit: the bare functions in a loop, without any server, as fast as this machine can.

    python -m benchmarks.limit

Every shape keeps all cores busy: processes with one thread each, threads in one process, one thread of ours with an
engine on every core. The best one is the limit that servers are held against. The stages are those of one process.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.bare import Bare, Pixels
from benchmarks.workload import pictures

CORES = len(os.sched_getaffinity(0))
_WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Limit:
    """Is what the machine can do without a server."""

    images_per_s: float
    cpu_ms: float
    """Per image."""


def processes(seconds: float, version: str = "1") -> Limit:
    """One process for each core, each with one thread."""
    context = get_context("spawn")
    ready = context.Barrier(CORES)
    results: Any = context.Queue()
    workers = [context.Process(target=_work, args=(seconds, version, ready, results)) for _ in range(CORES)]
    for worker in workers:
        worker.start()
    counted = [results.get(timeout=seconds + 120) for _ in workers]
    for worker in workers:
        worker.join()
    return _sum(counted)


def _work(seconds: float, version: str, ready: Any, results: Any) -> None:
    classify = _classifier(Bare(version=version))
    ready.wait(60)
    results.put(_loop(classify, seconds))


def threads(seconds: float, version: str = "1") -> Limit:
    """One process with one thread, and one engine on one core, for each core."""
    ready = threading.Barrier(CORES)
    counted: list[tuple[int, float, float]] = []

    def work() -> None:
        classify = _classifier(Bare(version=version))
        ready.wait(60)
        counted.append(_loop(classify, seconds))

    workers = [threading.Thread(target=work) for _ in range(CORES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return _sum(counted)


def engine_threads(seconds: float, version: str = "1") -> Limit:
    """One thread, whose engine uses every core."""
    bare = Bare(version=version, threads=CORES)
    classify = _classifier(bare)
    begin_s = time.process_time()
    images, wall_s, _ = _loop(classify, seconds)
    return Limit(images / wall_s, (time.process_time() - begin_s) * 1e3 / images)


def _classifier(bare: Bare) -> Callable[[int], object]:
    contents = [picture.content for picture in pictures()]
    for index in range(_WARM_UP):
        bare.classify(contents[index % len(contents)])
    return lambda index: bare.classify(contents[index % len(contents)])


def _loop(classify: Callable[[int], object], seconds: float) -> tuple[int, float, float]:
    """Returns images, seconds and the CPU seconds of this thread."""
    begin, cpu = time.perf_counter(), time.thread_time()
    images = 0
    while time.perf_counter() - begin < seconds:
        classify(images)
        images += 1
    return images, time.perf_counter() - begin, time.thread_time() - cpu


def _sum(counted: list[tuple[int, float, float]]) -> Limit:
    images = sum(each[0] for each in counted)
    rate = sum(each[0] / each[1] for each in counted)
    return Limit(rate, sum(each[2] for each in counted) * 1e3 / images)


SHAPES: dict[str, Callable[[float, str], Limit]] = {
    f"{CORES} processes x 1 thread": processes,
    f"1 process x {CORES} threads": threads,
    f"1 thread, engine on {CORES} cores": engine_threads,
}


def best(seconds: float, version: str = "1") -> Limit:
    """Returns the shape that classifies most."""
    return max((measure(seconds, version) for measure in SHAPES.values()), key=lambda limit: limit.images_per_s)


def stages(rounds: int = 200, version: str = "1") -> dict[str, float]:
    """Returns the CPU milliseconds per image of each function, in one thread."""
    bare = Bare(version=version, batches=(1, 4, 8))
    contents = [picture.content for picture in pictures()]
    pixels = [bare.decode(content) for content in contents]
    logits = bare.infer(pixels[0][np.newaxis])
    times = {"decode and resize": _cpu_ms(lambda index: bare.decode(contents[index % len(contents)]), rounds)}
    for size in (1, 4, 8):
        batch = np.stack([pixels[index % len(pixels)] for index in range(size)])
        times[f"infer, batch of {size}"] = _cpu_ms(partial(_infer, bare, batch), rounds // size) / size
    return {**times, "rank": _cpu_ms(lambda _: bare.rank(logits), rounds)}


def _infer(bare: Bare, batch: Pixels, _: int) -> object:
    return bare.infer(batch)


def _cpu_ms(call: Callable[[int], object], rounds: int) -> float:
    for index in range(_WARM_UP // 2):
        call(index)
    begin = time.process_time()
    for index in range(rounds):
        call(index)
    return (time.process_time() - begin) * 1e3 / rounds


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6, help="of each shape")
    parser.add_argument("--version", default="1", help="of the model in the repository")
    options = parser.parse_args()
    for name, measure in SHAPES.items():
        limit = measure(options.seconds, options.version)
        sys.stdout.write(f"{name:<28} {limit.images_per_s:7.1f} images/s   {limit.cpu_ms:6.2f} CPU-ms per image\n")
    for stage, cpu_ms in stages(version=options.version).items():
        sys.stdout.write(f"  {stage:<26} {cpu_ms:28.2f} CPU-ms per image\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
