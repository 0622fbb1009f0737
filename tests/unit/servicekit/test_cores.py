"""How many cores a process may keep busy."""

import os
from pathlib import Path

import pytest

from servicekit.cores import usable_cores

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, ALL),
        ({"cpu.max": "max 100000"}, ALL),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": f"{(ALL + 8) * 100000} 100000"}, ALL),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, ALL),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu.max": "nonsense"}, ALL),
    ],
)
def test_a_containers_quota_counts(tmp_path: Path, files: dict[str, str], cores: int) -> None:
    """Of affinity and quota the lesser one holds, in cgroups of either version; part of a core is one."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")

    assert cores == usable_cores(tmp_path)
