"""What is measured when a machine is: its processor, and the cores that a cluster may keep busy."""

import math
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """Tells machines apart on which different settings are best."""

    cpu: str
    cores: int

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} core{'' if self.cores == 1 else 's'}"


def this_machine(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> Machine:
    """Describes the machine as this process may use it: affinity and the container's quota count."""
    cores = len(os.sched_getaffinity(0))
    quota, _, period = _text(cgroup / "cpu.max").strip().partition(" ")
    if quota.isdecimal() and period.isdecimal():
        cores = min(cores, math.ceil(int(quota) / int(period)))
    lines = (line for line in _text(proc / "cpuinfo").splitlines() if line.startswith("model name"))
    return Machine(next(lines, "").partition(":")[2].strip() or "unknown processor", cores)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
