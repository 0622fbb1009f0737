"""Measures whether faults of the experiments service delay predictions: `python -m benchmarks.faults --rounds 10`.

One cluster, as shipped but for the result cache, gets the same load in turns, in another order in each round: while
nothing is wrong, while the experiments service is killed every few seconds (as soon as the supervisor has started it
again), and while the disk is full on which the cluster keeps its state: journal, database and logs. Prints quantiles of
the latency, and the medians over the rounds of how far they are from those without a fault. The disk needs root.
"""

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np

from benchmarks import cluster
from benchmarks.bare import Bare
from benchmarks.disk import MIB, NoDiskError, SmallDisk, small_disk
from benchmarks.load.engine import Engine, Outcome, poisson
from benchmarks.load.triptych import TRANSPORTS, workload
from benchmarks.report.systems import COMPUTE_ALL
from benchmarks.workload import pictures
from localcluster.state import StateDirectory

DISK_BYTES = 128 * MIB
CONNECTIONS = 64
WARM_UP_S = 1.0
KILL_EVERY_S = 3.0
FILL_EVERY_S = 0.2
"""Since whatever is deleted makes room."""
WHOLE_WITHIN_S = 60.0
PAUSE_S = 1.0
"""After a fault is over, for what waited meanwhile."""
QUANTILES = (0.5, 0.99)

Fault = Callable[[], AbstractContextManager[None]]


class Killer:
    """Kills the experiments service of a cluster, if it runs, and counts."""

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self.kills = 0

    def __call__(self) -> None:
        """Kills it."""
        status = self._state.read()
        for process in status.processes if status else ():
            if process.name == "experiments" and process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                    self.kills += 1


@contextmanager
def _full(disk: SmallDisk) -> Iterator[None]:
    try:
        with _repeated(disk.fill, FILL_EVERY_S):
            yield
    finally:
        disk.give_back()


@contextmanager
def _repeated(act: Callable[[], None], every_s: float) -> Iterator[None]:
    """Acts at once and again and again, while the context is open."""
    over = threading.Event()

    def work() -> None:
        act()
        while not over.wait(every_s):
            act()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _until_whole(state: StateDirectory) -> None:
    """Waits until every process is ready.

    Raises:
        TimeoutError: that lasts too long.
    """
    give_up_at = time.monotonic() + WHOLE_WITHIN_S
    while not ((status := state.read()) and status.healthy):
        if time.monotonic() > give_up_at:
            raise TimeoutError("the experiments service does not come back")
        time.sleep(0.1)
    time.sleep(PAUSE_S)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, list[Outcome]]:
    """Returns the outcomes of all turns, by fault.

    Raises:
        NoDiskError: no disk can be mounted here.
    """
    contents = [picture.content for picture in pictures()]
    bare = Bare()
    expected = tuple(bare.classify(content)[0].index for content in contents)
    state = StateDirectory(folder)
    with small_disk(folder, DISK_BYTES) as disk, cluster.running((), COMPUTE_ALL, folder) as running:
        load = workload(options.transport, running.port(options.transport), contents, expected)
        killer = Killer(state)
        faults: dict[str, Fault] = {
            "none": nullcontext,
            "killed": lambda: _repeated(killer, KILL_EVERY_S),
            "disk full": lambda: _full(disk),
        }
        outcomes: dict[str, list[Outcome]] = {name: [] for name in faults}
        for number in range(options.rounds):
            schedule = poisson(options.rate, WARM_UP_S + options.seconds, seed=number)
            for name in random.sample(list(faults), len(faults)):
                engine = Engine(load, CONNECTIONS, running.processes)
                with faults[name]():
                    outcomes[name].append(engine.open(schedule, WARM_UP_S))
                engine.close()
                _until_whole(state)
    sys.stdout.write(f"{killer.kills} kills\n")
    return outcomes


def show(outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    """Prints quantiles of all latencies of a fault, and the medians of their ratios within each round."""
    bases = outcomes["none"]
    for name, turns in outcomes.items():
        latencies = np.concatenate([turn.latencies_s for turn in turns])
        parts = []
        for share in QUANTILES:
            ratios = [
                turn.quantile_ms(share) / base.quantile_ms(share) - 1 for turn, base in zip(turns, bases, strict=True)
            ]
            pooled = np.quantile(latencies, share) * 1e3
            parts.append(f"p{share * 100:.0f} {pooled:6.1f} ms ({statistics.median(ratios):+6.1%})")
        failed = sum(len(turn.failures) for turn in turns)
        sys.stdout.write(f"{name:<10} {'   '.join(parts)}   {len(latencies)} answers, {failed} failed\n")


def main() -> int:
    """Measures and prints. Returns 1 when an answer was wrong or missing, 2 when no disk can be mounted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8, help="of each turn, the warm-up apart")
    parser.add_argument("--rate", type=float, default=20, help="requests per second, at moments independent of answers")
    parser.add_argument("--transport", choices=TRANSPORTS, default="grpc")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        try:
            outcomes = measure(Path(name) / "state", options)
        except NoDiskError as error:
            sys.stderr.write(f"faults: {error}\n")
            return 2
    show(outcomes)
    return int(any(turn.failures for turns in outcomes.values() for turn in turns))


if __name__ == "__main__":
    sys.exit(main())
