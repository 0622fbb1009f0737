"""What is measured when a machine is: its processor, and the cores that a cluster may keep busy."""

from dataclasses import dataclass
from pathlib import Path

from servicekit.cores import CGROUP, usable_cores


@dataclass(frozen=True, slots=True)
class Machine:
    """Tells machines apart on which different settings are best."""

    cpu: str
    cores: int

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} core{'' if self.cores == 1 else 's'}"


def this_machine(proc: Path = Path("/proc"), cgroup: Path = CGROUP) -> Machine:
    """Describes the machine as this process may use it: affinity and the container's quota count."""
    lines = (line for line in _text(proc / "cpuinfo").splitlines() if line.startswith("model name"))
    return Machine(next(lines, "").partition(":")[2].strip() or "unknown processor", usable_cores(cgroup))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
