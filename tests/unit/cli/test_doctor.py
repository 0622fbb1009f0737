"""The doctor: what it makes of a machine."""

from dataclasses import replace
from typing import Any

import pytest

from triptych.cli.doctor import Verdict, examine
from triptych.cli.machine import Machine, missing, parse_memory, parse_quota

GIB = 1024**3
GOOD = Machine(
    python=(3, 11, 9),
    system="Linux",
    architecture="x86_64",
    glibc=(2, 36),
    cpu_flags=frozenset({"avx2", "avx512_vnni", "amx_int8"}),
    cores=8,
    quota_cores=None,
    memory_bytes=16 * GIB,
    disk_bytes=100 * GIB,
    missing_packages=(),
    missing_experiments=(),
    triton_installed=True,
    gpu="NVIDIA L4, 580.1",
    taken_ports=(),
    tools=frozenset({"buf"}),
    own_ports=frozenset(),
)


def verdicts(machine: Machine) -> dict[str, Verdict]:
    """Returns the lines that are not ok."""
    return {check.name: check.verdict for check in examine(machine) if check.verdict is not Verdict.OK}


def test_a_good_machine_has_no_complaints() -> None:
    """Everything is ok where everything is there."""
    assert {} == verdicts(GOOD)


@pytest.mark.parametrize(
    ("change", "name", "verdict"),
    [
        ({"architecture": "aarch64"}, "platform", Verdict.MISSING),
        ({"python": (3, 13, 0)}, "python", Verdict.MISSING),
        ({"glibc": (2, 31)}, "glibc", Verdict.MISSING),
        ({"glibc": ()}, "glibc", Verdict.MISSING),
        ({"cpu_flags": frozenset({"avx2"})}, "cpu", Verdict.WARN),
        ({"quota_cores": 1.0}, "cores", Verdict.WARN),
        ({"memory_bytes": GIB}, "memory", Verdict.WARN),
        ({"disk_bytes": GIB, "triton_installed": False}, "disk", Verdict.WARN),
        ({"missing_packages": ("uvloop",)}, "services", Verdict.MISSING),
        ({"missing_experiments": ("sqlalchemy",)}, "experiments", Verdict.WARN),
        ({"triton_installed": False}, "triton", Verdict.WARN),
        ({"gpu": ""}, "gpu", Verdict.WARN),
        ({"taken_ports": (8080,)}, "ports", Verdict.WARN),
        ({"tools": frozenset()}, "buf", Verdict.WARN),
    ],
)
def test_each_lack_is_told(change: dict[str, Any], name: str, verdict: Verdict) -> None:
    """One lack makes one line, which is `missing` only where no cluster could run."""
    assert verdict is verdicts(replace(GOOD, **change))[name]


def test_each_complaint_comes_with_advice() -> None:
    """Whatever is not ok says what to do."""
    poor = replace(GOOD, system="Darwin", glibc=(), cores=1, gpu="", tools=frozenset(), taken_ports=(8080, 8081))
    assert all(check.advice for check in examine(poor) if check.verdict is not Verdict.OK)


def test_ports_of_the_own_cluster_are_fine() -> None:
    """A port that the user's cluster listens on is no complaint; another's is."""
    machine = replace(GOOD, taken_ports=(8080, 8081), own_ports=frozenset({8080, 8081}))
    assert ["8080 and 8081 used by your cluster"] == [each.detail for each in examine(machine) if each.name == "ports"]
    assert {"ports": Verdict.WARN} == verdicts(replace(machine, own_ports=frozenset({8080})))


@pytest.mark.parametrize(("text", "cores"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("", None)])
def test_cpu_quotas_are_read(text: str, cores: float | None) -> None:
    """A cgroup's quota becomes a number of cores."""
    assert cores == parse_quota(text)


@pytest.mark.parametrize(("limit", "expected"), [("1024\n", 1024), ("max\n", 2048 * 1024), ("", 2048 * 1024)])
def test_memory_is_the_lesser_limit(limit: str, expected: int) -> None:
    """The cgroup's limit counts when it is below the machine's memory."""
    assert expected == parse_memory("MemFree: 1 kB\nMemTotal:  2048 kB\n", limit)


def test_missing_packages_are_named() -> None:
    """Only what cannot be imported is named."""
    assert ("no_such_package",) == missing(("json", "no_such_package"))
