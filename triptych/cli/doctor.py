"""`triptych doctor`: what this machine can run, what is missing, and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from triptych.cli.machine import Machine, inspect_machine
from triptych.cli.options import Json, StateDir, state_path
from triptych.cli.output import out, print_json

if TYPE_CHECKING:
    from rich.table import Table

GIB = 1024**3
MIN_GLIBC = (2, 35)
PYTHONS = ((3, 11), (3, 12))
STYLES = {"ok": "green", "warn": "yellow", "missing": "bold red"}


class Verdict(StrEnum):
    """Says how good a fact is."""

    OK = "ok"
    WARN = "warn"
    """A cluster runs, with less."""
    MISSING = "missing"
    """A cluster does not run."""


@dataclass(frozen=True, slots=True)
class Check:
    """Is one line of the report."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""
    """What to do; empty when nothing is."""


def doctor(json: Json = False, state_dir: StateDir = None) -> None:
    """Explains what this machine can run and what is missing. Ends with 1 when `triptych up` cannot work."""
    from localcluster.environment import triton_directory

    checks = list(examine(inspect_machine(triton_directory(), _own_ports(state_path(state_dir)))))
    if json:
        print_json([asdict(check) for check in checks])
    else:
        out().print(view(checks))
    raise typer.Exit(1 if any(check.verdict is Verdict.MISSING for check in checks) else 0)


def _own_ports(state_dir: Path) -> frozenset[int]:
    from localcluster.state import StateDirectory, StateError

    try:
        cluster = StateDirectory(state_dir).running()
    except StateError:
        return frozenset()
    return frozenset() if cluster is None else frozenset(p for each in cluster.processes for p in each.ports.values())


def examine(machine: Machine) -> Iterator[Check]:
    """Judges the facts."""
    yield from _platform(machine)
    yield from _resources(machine)
    yield from _software(machine)


def _need(name: str, detail: str, advice: str, *, met: bool) -> Check:
    return Check(name, Verdict.OK, detail) if met else Check(name, Verdict.MISSING, detail, advice)


def _wish(name: str, detail: str, advice: str, *, met: bool) -> Check:
    return Check(name, Verdict.OK, detail) if met else Check(name, Verdict.WARN, detail, advice)


def _platform(machine: Machine) -> Iterator[Check]:
    where = f"{machine.system} {machine.architecture}"
    fits = where == "Linux x86_64"
    yield _need("platform", where, "Triton's wheel is for Linux x86-64.", met=fits)
    python = ".".join(map(str, machine.python))
    yield _need(
        "python", python, "Triton on this machine needs Python 3.11 or 3.12.", met=machine.python[:2] in PYTHONS
    )
    glibc = ".".join(map(str, machine.glibc)) or "none"
    advice = "2.35 or newer is needed, as in Ubuntu 22.04 or Debian 12."
    yield _need("glibc", glibc, advice, met=machine.glibc >= MIN_GLIBC)


def _resources(machine: Machine) -> Iterator[Check]:
    fast = sorted(
        flag for flag in machine.cpu_flags if flag.startswith(("amx_", "avx512_bf16", "avx512_vnni", "avx_vnni"))
    )
    basic = "AVX2" if "avx2" in machine.cpu_flags else "no AVX2"
    yield _wish(
        "cpu", " ".join(fast) or basic, "Models run, but slower than on a CPU with AVX512-VNNI or AMX.", met=bool(fast)
    )
    usable = min(machine.cores, machine.quota_cores or machine.cores)
    limit = "" if machine.quota_cores is None else f", limited to {machine.quota_cores:g} by the cgroup"
    yield _wish(
        "cores", f"{machine.cores}{limit}", "Two or more keep the services out of Triton's way.", met=usable >= 2
    )
    memory = machine.memory_bytes / GIB
    yield _wish("memory", f"{memory:.1f} GiB", "A cluster takes about 1 GiB; leave room.", met=memory >= 2)
    disk = machine.disk_bytes / GIB
    yield _wish(
        "disk",
        f"{disk:.1f} GiB free",
        "Triton and OpenVINO take about 1 GiB.",
        met=disk >= 1.5 or machine.triton_installed,
    )


def _software(machine: Machine) -> Iterator[Check]:
    lacking = " ".join(machine.missing_packages)
    installed = "installed" if not lacking else f"without {lacking}"
    yield _need("services", installed, "pip install 'triptych[cluster]'", met=not lacking)
    absent = " ".join(machine.missing_experiments)
    advice = "The cluster answers without experiments and feedback; with them: pip install 'triptych[experiments]'"
    yield _wish("experiments", "installed" if not absent else f"without {absent}", advice, met=not absent)
    triton = "installed" if machine.triton_installed else "not installed"
    yield _wish("triton", triton, "The first `triptych up` installs it (about 110 MB).", met=machine.triton_installed)
    yield _wish("gpu", machine.gpu or "none", "Models run on the CPU, with OpenVINO.", met=bool(machine.gpu))
    yield _ports(machine)
    buf = "installed" if "buf" in machine.tools else "not on PATH"
    yield _wish("buf", buf, "Only needed to change the protos: pip install buf-bin", met="buf" in machine.tools)


def _ports(machine: Machine) -> Check:
    foreign = [port for port in machine.taken_ports if port not in machine.own_ports]
    if foreign:
        return Check("ports", Verdict.WARN, f"taken: {_listed(foreign)}", "Free ports are chosen instead.")
    if machine.taken_ports:
        return Check("ports", Verdict.OK, f"{_listed(machine.taken_ports)} used by your cluster")
    return Check("ports", Verdict.OK, "8080 and 8081 free")


def _listed(ports: Sequence[int]) -> str:
    return " and ".join(map(str, ports))


def view(checks: list[Check]) -> "Table":
    """Returns the report as a table."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=False)
    for check in checks:
        style = STYLES[check.verdict]
        table.add_row(
            f"[{style}]{check.verdict}[/{style}]",
            check.name,
            escape(check.detail),
            f"[dim]{escape(check.advice)}[/dim]",
        )
    return table
