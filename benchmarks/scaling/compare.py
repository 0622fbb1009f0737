"""Holds the simulation against a measured cluster."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report.measurement import APART, COLOCATED, Round
from benchmarks.scaling.cell import Coalescing
from benchmarks.scaling.costs import Costs
from benchmarks.scaling.layout import one_machine
from benchmarks.scaling.simulation import Load, simulate

SATURATING_CLIENTS = 64


@dataclass(frozen=True, slots=True)
class Measured:
    """Is what a report says of a cluster on one machine."""

    system: str
    cores: int
    capacity_rps: float
    """Images answered per second at 64 clients that send one image after the other."""
    cpu_ms: float
    """CPU of all servers per image at 64 clients."""
    idle_p50_ms: float
    """At one such client."""
    open_rps: float
    """Rate of the open loop, in images/s."""
    open_p50_ms: float
    open_p99_ms: float


def read_report(path: Path) -> list[Measured]:
    """Reads the JSON that `python -m benchmarks.report` writes: its clusters over gRPC, medians over its rounds.

    Raises:
        ValueError: it is no such report, or has none of these clusters in it.
        OSError: the file cannot be read.
    """
    document: Any = json.loads(path.read_text())
    try:
        cores = int(document["about"]["Machine"].partition(" core")[0])
        rounds = [Round.from_json(each) for each in document["rounds"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no report of `python -m benchmarks.report`: {error!r}") from error
    found = [_measured(rounds, system, cores) for system in (APART, COLOCATED)]
    measured = [each for each in found if each is not None]
    if not measured:
        raise ValueError(f"{path} measures neither {APART!r} nor {COLOCATED!r}.")
    return measured


def _measured(rounds: Sequence[Round], system: str, cores: int) -> Measured | None:
    full, idle, partly = (
        [found for each in rounds if (found := each.find(system, "grpc", load)) is not None]
        for load in (str(SATURATING_CLIENTS), "1", "70%")
    )
    if not (full and idle and partly):
        return None
    return Measured(
        system,
        cores,
        capacity_rps=median(m.rate for m in full),
        cpu_ms=median(m.server_cpu_ms for m in full),
        idle_p50_ms=median(m.p50_ms for m in idle),
        open_rps=median(m.rate for m in partly),
        open_p50_ms=median(m.p50_ms for m in partly),
        open_p99_ms=median(m.p99_ms for m in partly),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """Is one number, measured and predicted."""

    name: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """Returns how far the prediction lies above (+) or below (-) what was measured, as a share of that."""
        return self.predicted / self.measured - 1


def compare(costs: Costs, measured: Measured, coalescing: Coalescing | None = None) -> list[Line]:
    """Simulates what was measured."""
    layout, tiers = one_machine(measured.cores, together=measured.system == COLOCATED)
    full, idle, partly = (
        simulate(layout, tiers, costs, load, coalescing)
        for load in (
            Load(clients=SATURATING_CLIENTS, seconds=20),
            Load(clients=1, seconds=20),
            Load(measured.open_rps, seconds=60),
        )
    )
    busy = next(iter(full.use.values())).cores
    rate = f"{measured.open_rps:.0f} images/s"
    return [
        Line("capacity, images/s", measured.capacity_rps, full.rate),
        Line("CPU, ms per image", measured.cpu_ms, busy * measured.cores / full.rate * 1e3),
        Line("p50 ms at 1 client", measured.idle_p50_ms, idle.p50_ms),
        Line(f"p50 ms at {rate}", measured.open_p50_ms, partly.p50_ms),
        Line(f"p99 ms at {rate}", measured.open_p99_ms, partly.p99_ms),
    ]


def comparison_text(title: str, lines: list[Line]) -> str:
    """Returns the lines below each other, for a terminal."""
    rows = [f"{title:<26} {'measured':>10} {'predicted':>10} {'off by':>8}"]
    rows += [f"{line.name:<26} {line.measured:10.1f} {line.predicted:10.1f} {line.error:+8.0%}" for line in lines]
    return "\n".join(rows)
