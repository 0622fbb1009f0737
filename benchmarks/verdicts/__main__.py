"""Simulates experiments that are judged after every event: how often the verdict is wrong, and how soon it is right.

    python -m benchmarks.verdicts --experiments 1000

An advice counts that is given at any event, so what is counted is what a cluster would do that looks all the time. The
alpha is half of what an experiment has by default: what its first epoch gets.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np

from benchmarks.limit import CORES
from benchmarks.verdicts import errors, faults
from benchmarks.verdicts.errors import Case
from benchmarks.verdicts.faults import Fault


class Each(Protocol):
    """Calls a function with the seed of each experiment, or of a part of them."""

    def __call__(self, of_seed: Callable[[int], object], fewer: int = 1) -> list[object]:
        """Returns what it returned."""


FAULTS = {fault.name: fault for fault in faults.FAULTS}
_SECTIONS = ("errors", "intervals", "faults")


def main() -> int:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=1000, help="of each kind")
    parser.add_argument("--events", type=int, default=10_000, help="of an experiment without a fault")
    parser.add_argument("--alpha", type=float, default=0.025, help="probability of a wrong verdict that is allowed")
    parser.add_argument("--processes", type=int, default=CORES)
    parser.add_argument("--only", choices=_SECTIONS, nargs="+", default=_SECTIONS)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:

        def each(of_seed: Callable[[int], object], fewer: int = 1) -> list[object]:
            return list(pool.map(of_seed, range(options.experiments // fewer), chunksize=5))

        if "errors" in options.only:
            _say(_errors(each, options.alpha, options.events))
        if "intervals" in options.only:
            _say(_intervals(each, options.alpha, options.events))
        if "faults" in options.only:
            _say(_faults(each, options.alpha))
    return 0


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _errors(each: Each, alpha: float, events: int) -> Iterable[str]:
    yield f"Wrong verdicts, alpha {alpha:g}, {events:,} events\n\n| truth | rolled back | promoted | repair |"
    yield "|---|---:|---:|---:|"
    for case in errors.CASES:
        yield _wrong(case, each(partial(errors.run, case, alpha, events)))
    case = errors.BY_REQUEST  # of which fewer say enough
    yield _wrong(case, each(partial(errors.run, case, alpha, events), 10))


def _wrong(case: Case, firsts: list[object]) -> str:
    cells = [case.name]
    for name in ("roll_back", "promote", "repair"):
        share = sum(getattr(first, name) < math.inf for first in firsts) / len(firsts)
        cells.append(f"{share:.1%}" if name == "repair" or name in case.wrong else f"({share:.1%})")
    return f"| {' | '.join(cells)} |"


def _intervals(each: Each, alpha: float, events: int) -> Iterable[str]:
    yield f"\nIntervals that held the truth after every event, promised {1 - alpha:.1%}, {events:,} events\n"
    yield "| interval of | held |\n|---|---:|"
    for name in errors.INTERVALS:
        held = each(partial(errors.held, name, alpha, events))
        yield f"| {name} | {sum(map(bool, held)) / len(held):.1%} |"


def _faults(each: Each, alpha: float) -> Iterable[str]:
    yield f"\nEvents until the verdict, alpha {alpha:g}\n"
    yield "| truth | half of them | 90 % | bound on average | looked at once: 50 % | 90 % |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, fault in FAULTS.items():
        yield _soon(fault, alpha, [float(str(found)) for found in each(partial(_found, name, alpha))])


def _found(name: str, alpha: float, seed: int) -> float:
    return faults.found(FAULTS[name], alpha, seed)


def _soon(fault: Fault, alpha: float, found: list[float]) -> str:
    half, most = (float(np.quantile(found, share, method="higher")) for share in (0.5, 0.9))
    return f"| {fault.name} | {' | '.join(f'{count:,.0f}' for count in (half, most, *fault.bound(alpha)))} |"


if __name__ == "__main__":
    sys.exit(main())
