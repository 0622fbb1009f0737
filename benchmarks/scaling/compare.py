"""Holds the simulation against a measured cluster."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.scaling.cell import Coalescing
from benchmarks.scaling.costs import Costs
from benchmarks.scaling.layout import one_machine
from benchmarks.scaling.simulation import Load, simulate

SATURATING_CLIENTS = 64


@dataclass(frozen=True, slots=True)
class Measured:
    """Is what a report says of a cluster on one machine. None and empty: the report does not say."""

    cores: int
    together: bool
    capacity_rps: float
    """Images answered per second at 64 clients that send one image after the other."""
    idle_p50_ms: float | None
    """At one such client."""
    cpu_ms: float | None
    """CPU of all servers per image at 64 clients."""
    loads: tuple[tuple[float, float, float], ...]
    """Open-loop Poisson rates in images/s with their p50 and p99 in ms."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the fields from a JSON object, or from its `scaling` when it has one; further fields are let be.

        Raises:
            ValueError: a field is missing or of another type; the message names it.
            OSError: the file cannot be read.
        """
        document: dict[str, Any] = json.loads(path.read_text())
        document = document.get("scaling", document)
        try:
            return cls(
                cores=int(document["cores"]),
                together=bool(document["together"]),
                capacity_rps=float(document["capacity_rps"]),
                idle_p50_ms=_optional(document.get("idle_p50_ms")),
                cpu_ms=_optional(document.get("cpu_ms")),
                loads=tuple(
                    (float(load["rate_rps"]), float(load["p50_ms"]), float(load["p99_ms"]))
                    for load in document.get("loads", ())
                ),
            )
        except KeyError as error:
            raise ValueError(f"{path}: {error.args[0]} is missing") from error
        except TypeError as error:
            raise ValueError(f"{path}: {error}") from error


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
    layout, tiers = one_machine(measured.cores, together=measured.together)
    full = simulate(layout, tiers, costs, Load(clients=SATURATING_CLIENTS, seconds=20), coalescing)
    lines = [Line("capacity, images/s", measured.capacity_rps, full.rate)]
    if measured.cpu_ms is not None:
        busy = next(iter(full.use.values())).cores
        lines.append(Line("CPU, ms per image", measured.cpu_ms, busy * measured.cores / full.rate * 1e3))
    if measured.idle_p50_ms is not None:
        idle = simulate(layout, tiers, costs, Load(clients=1, seconds=20), coalescing)
        lines.append(Line("p50 ms at 1 client", measured.idle_p50_ms, idle.p50_ms))
    for rate, p50_ms, p99_ms in measured.loads:
        result = simulate(layout, tiers, costs, Load(rate, seconds=60), coalescing)
        lines.append(Line(f"p50 ms at {rate:g} images/s", p50_ms, result.p50_ms))
        lines.append(Line(f"p99 ms at {rate:g} images/s", p99_ms, result.p99_ms))
    return lines


def comparison_text(lines: list[Line]) -> str:
    """Returns the lines below each other, for a terminal."""
    rows = [f"{'':<26} {'measured':>10} {'predicted':>10} {'off by':>8}"]
    rows += [f"{line.name:<26} {line.measured:10.1f} {line.predicted:10.1f} {line.error:+8.0%}" for line in lines]
    return "\n".join(rows)


def _optional(value: Any) -> float | None:
    return None if value is None else float(value)
