"""What this machine is: facts for `triptych doctor`, read and not judged."""

import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CLUSTER_PACKAGES = (
    "fastapi",
    "grpc_health",
    "numpy",
    "PIL",
    "prometheus_client",
    "simplejpeg",
    "structlog",
    "tritonclient",
    "uvicorn",
    "uvloop",
)
EXPERIMENTS_PACKAGES = ("alembic", "psycopg", "sqlalchemy")
PORTS = (8080, 8081)


@dataclass(frozen=True, slots=True)
class Machine:
    """Holds the facts."""

    python: tuple[int, ...]
    system: str
    architecture: str
    glibc: tuple[int, ...]
    """Empty: another C library."""
    cpu_flags: frozenset[str]
    cores: int
    """Those this process may run on."""
    quota_cores: float | None
    """What the cgroup lets it use; None: all."""
    memory_bytes: int
    """The lesser of the machine's and the cgroup's."""
    disk_bytes: int
    """Free where Triton is installed."""
    missing_packages: tuple[str, ...]
    missing_experiments: tuple[str, ...]
    """Packages that experiments need besides."""
    triton_installed: bool
    gpu: str
    """Name of the first NVIDIA GPU with a working driver."""
    taken_ports: tuple[int, ...]
    tools: frozenset[str]
    """`buf`, when it is here."""
    own_ports: frozenset[int]
    """Ports of the user's running cluster."""


def inspect_machine(triton: Path, own_ports: frozenset[int] = frozenset()) -> Machine:
    """Reads the facts.

    Args:
        triton: the folder where Triton is installed.
        own_ports: ports of the user's running cluster.
    """
    return Machine(
        python=sys.version_info[:3],
        system=platform.system(),
        architecture=platform.machine(),
        glibc=_glibc(),
        cpu_flags=_cpu_flags(_text("/proc/cpuinfo")),
        cores=len(os.sched_getaffinity(0)),
        quota_cores=parse_quota(_text("/sys/fs/cgroup/cpu.max")),
        memory_bytes=parse_memory(_text("/proc/meminfo"), _text("/sys/fs/cgroup/memory.max")),
        disk_bytes=shutil.disk_usage(_existing(triton)).free,
        missing_packages=missing(CLUSTER_PACKAGES),
        missing_experiments=missing(EXPERIMENTS_PACKAGES),
        triton_installed=any(triton.glob("*/backends-*")),
        gpu=_gpu(),
        taken_ports=tuple(port for port in PORTS if _taken(port)),
        tools=frozenset(tool for tool in ("buf",) if shutil.which(tool)),
        own_ports=own_ports,
    )


def parse_quota(text: str) -> float | None:
    """Reads a cgroup's `cpu.max`, such as `150000 100000`."""
    quota, _, period = text.strip().partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


def parse_memory(meminfo: str, limit: str) -> int:
    """Reads `/proc/meminfo` and a cgroup's `memory.max`."""
    line = next((line for line in meminfo.splitlines() if line.startswith("MemTotal:")), "MemTotal: 0 kB")
    total = int(line.split()[1]) * 1024
    return min(total, int(limit)) if limit.strip().isdecimal() else total


def missing(packages: Sequence[str]) -> tuple[str, ...]:
    """Returns the packages that cannot be imported."""
    return tuple(package for package in packages if importlib.util.find_spec(package) is None)


def _cpu_flags(cpuinfo: str) -> frozenset[str]:
    line = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


def _glibc() -> tuple[int, ...]:
    library, version = platform.libc_ver()
    return tuple(map(int, version.split("."))) if library == "glibc" else ()


def _gpu() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "an NVIDIA GPU" if Path("/proc/driver/nvidia/version").exists() else ""
    command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    with suppress(subprocess.SubprocessError, OSError):
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.split("\n")[0]  # noqa: S603
    return ""


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port that rests is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
