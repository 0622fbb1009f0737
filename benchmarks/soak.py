"""Loads a cluster for minutes and watches its memory: `python -m benchmarks.soak --minutes 10`.

It prints what each process holds (MiB, shared pages counted once) at first and every half minute, and at last by how
much the last quarter of the run is above the quarter before it.
"""

import argparse
import statistics
import sys
import threading
import time
from collections import Counter

from benchmarks import cluster
from benchmarks.bare import Bare
from benchmarks.load.engine import Engine
from benchmarks.load.triptych import TRANSPORTS, workload
from benchmarks.processes import memory_bytes
from benchmarks.report.systems import COMPUTE_ALL
from benchmarks.workload import pictures

INTERVAL_S = 30.0


class Watch:
    """Samples the memory of every process in the background."""

    def __init__(self, running: cluster.Cluster) -> None:
        self._running = running
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.samples: list[dict[str, float]] = []

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        began = time.monotonic()
        while True:
            sample = {name: memory_bytes(pids) / 2**20 for name, pids in self._running.processes.items()}
            self.samples.append(sample)
            shown = "  ".join(f"{name} {mib:.0f}" for name, mib in sample.items())
            sys.stdout.write(f"{time.monotonic() - began:5.0f} s   {sum(sample.values()):6.0f} MiB   {shown}\n")
            sys.stdout.flush()
            if self._over.wait(INTERVAL_S):
                return


def growth(totals: list[float]) -> float:
    """Returns by what share the last quarter of the samples is above the quarter before it."""
    quarter = max(1, len(totals) // 4)
    return statistics.mean(totals[-quarter:]) / statistics.mean(totals[-2 * quarter : -quarter]) - 1


def main() -> int:
    """Loads, watches and prints. Returns 1 when an answer was wrong or missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--transport", choices=TRANSPORTS, default="grpc")
    parser.add_argument("--colocated", action="store_true")
    options = parser.parse_args()
    contents = [picture.content for picture in pictures()]
    bare = Bare()
    expected = tuple(bare.classify(content)[0].index for content in contents)
    shape = ("--colocated",) if options.colocated else ()
    with cluster.running(shape, COMPUTE_ALL) as running:
        target = workload(options.transport, running.port(options.transport), contents, expected)
        with Watch(running) as watch:
            engine = Engine(target, options.clients, running.processes)
            outcome = engine.closed(0.0, options.minutes * 60)
            engine.close()
    grown = growth([sum(sample.values()) for sample in watch.samples])
    sys.stdout.write(f"{len(outcome.latencies_s)} requests, {len(outcome.failures)} failed, growth {grown:+.1%}\n")
    for failure, count in Counter(outcome.failures).most_common(5):
        sys.stdout.write(f"  {count} x {failure}\n")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
