"""How many cores a process may keep busy."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Counts the cores of the process's affinity, or its container's quota (cgroups 2 or 1) where that is less."""
    cores = len(os.sched_getaffinity(0))
    for quota_us, period_us in _quotas(cgroup):
        cores = min(cores, math.ceil(quota_us / period_us))
    return max(1, cores)


def _quotas(cgroup: Path) -> Iterator[tuple[int, int]]:
    quota, _, period = _text(cgroup / "cpu.max").strip().partition(" ")
    if quota.isdecimal() and period.isdecimal():
        yield int(quota), int(period)
    quota, period = (_text(cgroup / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if quota.isdecimal() and period.isdecimal():
        yield int(quota), int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
