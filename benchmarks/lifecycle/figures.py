"""The figures of a life cycle, from the runs' own files, and the goals that they are held against."""

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lifecycle.chain import AWARE, FINAL, PRUNED, RUNS, TEACHER, WIDE
from benchmarks.lifecycle.served import Answers
from benchmarks.report.claims import Claim

PTQ = "fashion_mnist_ptq"


@dataclass(frozen=True, slots=True)
class Quantised:
    """Is EfficientNet-Lite0 in INT8 beside the same in floats."""

    photographs: int
    alike: int
    """Photographs to which both versions answer alike through the gateway."""
    throughput: dict[str, dict[int, float]]
    """Images per second through Triton, by version and batch; floats first."""
    said: Mapping[str, float | int | str]
    """What its gates measured, from the manifest."""

    @property
    def faster(self) -> float:
        """Returns its best throughput as a multiple of that of the floats."""
        floats, integers = (max(rates.values()) for rates in self.throughput.values())
        return integers / floats


@dataclass(frozen=True, slots=True)
class Served:
    """Is what the cluster did."""

    student: Answers
    throughput: dict[str, dict[int, float]]
    """Images per second through Triton, by run and batch."""
    photographs: tuple[str, str]
    """What the default model saw before the student was published, and beside it."""
    live: tuple[str, str]
    """The teacher's live version before a worse one was offered, and after that."""
    lite0: Quantised

    @property
    def undisturbed(self) -> bool:
        """Says whether publishing, and a refusal, changed nothing of what was live."""
        return self.photographs[0] == self.photographs[1] and self.live[0] == self.live[1]


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Is everything that was measured."""

    results: dict[str, dict[str, Any]]
    """`result.json` by run."""
    evaluations: dict[str, dict[str, Any]]
    """`evaluation.json` of the teacher and of the final student."""
    seeds: tuple[int, ...]
    served: Served

    def top1(self, run: str) -> float:
        """Returns a run's share of right answers on the test split."""
        return float(self.results[run]["test"]["top1"])

    def mean_and_spread(self, name: str) -> tuple[float, float]:
        """Returns mean and standard deviation of top-1 over the seeds; no spread of one."""
        found = [self.top1(f"{name}_{seed}") for seed in self.seeds]
        return statistics.mean(found), statistics.stdev(found) if len(found) > 1 else 0.0


def read_results(folder: Path, seeds: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """Reads `result.json` of every run of the chain."""
    several = (f"{name}_{seed}" for name in ("alone", "distil") for seed in seeds)
    names = (TEACHER, *several, WIDE, PRUNED, PTQ, AWARE, FINAL)
    return {name: json.loads((folder / RUNS / name / "result.json").read_bytes()) for name in names}


def read_evaluations(folder: Path) -> dict[str, dict[str, Any]]:
    """Reads what the evaluations of the teacher and of the final student found."""
    return {name: json.loads((folder / RUNS / name / "evaluation.json").read_bytes()) for name in (TEACHER, FINAL)}


def passed(found: Lifecycle, *, held: bool) -> bool:
    """Says whether the cluster answered as it must and, where `held`, the figures meet every goal."""
    student = found.served.student
    answered = found.served.undisturbed and student.agreement == len(student.truth)
    return answered and (not held or all(goal.met for goal in goals(found)))


def goals(found: Lifecycle) -> Iterator[Claim]:
    """Returns every goal with its figure; drops in points."""
    pruned, served = found.results[PRUNED], found.served
    taught, alone = (found.mean_and_spread(name)[0] for name in ("distil", "alone"))
    drop = 100 * (found.top1(WIDE) - found.top1(PRUNED))
    quantised = 100 * (found.top1(PRUNED) - found.top1(FINAL))
    below = 100 * (found.top1(TEACHER) - found.top1(FINAL))
    faster = max(served.throughput[FINAL].values()) / max(served.throughput[TEACHER].values())
    pictures = len(served.student.truth)
    yield Claim("teacher: top-1", 100 * found.top1(TEACHER), 93.5, at_least=True, unit=" %")
    yield Claim(
        "student: taught above alone, means of the seeds", 100 * (taught - alone), 0.0, at_least=True, unit=" points"
    )
    yield Claim("pruned: share of the work taken away", 100 * pruned["removed_macs"], 50, at_least=True, unit=" %")
    yield Claim("pruned: top-1 below the wide student", drop, 0.5, at_least=False, unit=" points")
    yield Claim("INT8: top-1 below the pruned student", quantised, 0.3, at_least=False, unit=" points")
    yield Claim("final student: top-1 below the teacher", below, 1.0, at_least=False, unit=" points")
    yield Claim("final student: throughput through Triton / the teacher's", faster, 4.0, at_least=True)
    photographs = served.lite0.photographs
    yield Claim(
        f"EfficientNet-Lite0 in INT8: first class of floats, of {photographs} photographs",
        served.lite0.alike,
        photographs,
        at_least=True,
    )
    yield Claim(
        "EfficientNet-Lite0 in INT8: throughput through Triton / that of floats",
        served.lite0.faster,
        1.0,
        at_least=True,
    )
    yield Claim(f"gateway: first class as offline, of {pictures:,}", served.student.agreement, pictures, at_least=True)
