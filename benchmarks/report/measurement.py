"""What is measured, as plain data: a system under a load, in one round."""

from dataclasses import asdict, dataclass, field
from typing import Any

APART, COLOCATED, BEST, CACHED = "Triptych, apart", "Triptych, co-located", "Triptych, best", "Triptych, cached"
"""The names of Triptych's shapes; a rival has its own."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Is one load on one system."""

    system: str
    transport: str
    load: str
    """`1`, `16` ...: so many clients in a closed loop; `70%`: an open one at this share of the capacity."""
    rate: float
    """Right answers per second."""
    p50_ms: float
    p99_ms: float
    cpu_ms: dict[str, float]
    """Per right answer, by service; the generator's under `generator`."""
    memory_mib: dict[str, float] = field(default_factory=dict)
    failures: int = 0

    @property
    def server_cpu_ms(self) -> float:
        """Returns the CPU milliseconds of all server processes per answer."""
        return sum(ms for name, ms in self.cpu_ms.items() if name != "generator")

    @property
    def cores_busy(self) -> float:
        """Returns how many cores the server and the generator kept busy."""
        return sum(self.cpu_ms.values()) * self.rate / 1e3


@dataclass(frozen=True, slots=True)
class Round:
    """Is everything once, in the same minutes."""

    limit_rate: float
    """Images per second of the bare functions."""
    limit_cpu_ms: float
    bare_p50_ms: float
    """Of one bare call after the other, alone on the machine."""
    measurements: list[Measurement]

    def find(self, system: str, transport: str, load: str) -> Measurement | None:
        """Returns a measurement; None where it was not taken."""
        return next(
            (m for m in self.measurements if (m.system, m.transport, m.load) == (system, transport, load)), None
        )

    def best(self, system: str, transport: str) -> Measurement | None:
        """Returns the closed loop with the highest rate."""
        taken = [m for m in self.measurements if (m.system, m.transport) == (system, transport) and m.load.isdigit()]
        return max(taken, key=lambda m: m.rate, default=None)

    def to_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Round":
        """Reads what `to_json` returned."""
        return cls(**{**data, "measurements": [Measurement(**each) for each in data["measurements"]]})
