"""The life cycle's own parts: fewer pictures of the same files, and figures that are held against goals."""

import gzip
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.lifecycle.data import first
from benchmarks.lifecycle.figures import Lifecycle, Quantised, Served, goals, passed
from benchmarks.lifecycle.page import render
from benchmarks.lifecycle.served import Answers
from benchmarks.lifecycle.shell import CommandError, Shell
from modelkit.data.sources.idx import read_idx

SEEDS = (1, 2)
EVALUATION: dict[str, Any] = {
    "accuracy": {"top1": 0.93, "top5": 0.998},
    "calibration": {"ece": [0.02, 0.008]},
    "temperature": 0.95,
    "robustness": {"pictures": 500, "clean_top1": 0.92, "mean_top1": 0.588, "corruptions": {"shot_noise": [0.7, 0.5]}},
}


def _idx(folder: Path, split: str, count: int) -> None:
    images = np.arange(count * 6, dtype=np.uint8).tobytes()
    labels = bytes(index % 3 for index in range(count))
    (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(struct.pack(">IIII", 0x803, count, 2, 3) + images)
    )
    (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">II", 0x801, count) + labels))


def test_the_first_pictures_of_each_split_are_taken_with_their_labels(tmp_path: Path) -> None:
    """What comes out is IDX again, and the same pictures."""
    for split in ("train", "t10k"):
        _idx(tmp_path, split, 9)
    few = read_idx(first(tmp_path, {"train": 5, "t10k": 2}, tmp_path / "few"))
    whole = [item for item in read_idx(tmp_path).items() if int(item.source.rpartition("#")[2]) < 5]
    kept = {"train": 5, "t10k": 2}
    wanted = [item for item in whole if int(item.source.rpartition("#")[2]) < kept[item.source.split("-")[0]]]
    assert list(few.items()) == wanted
    assert len(wanted) == 7


def _results(**changes: float) -> dict[str, dict[str, Any]]:
    top1 = {
        "fashion_mnist_teacher": 0.94,
        **{f"alone_{seed}": 0.91 + seed / 1000 for seed in SEEDS},
        **{f"distil_{seed}": 0.92 + seed / 1000 for seed in SEEDS},
        "fashion_mnist_wide": 0.934,
        "fashion_mnist_prune": 0.932,
        "fashion_mnist_ptq": 0.931,
        "fashion_mnist_int8": 0.932,
        "fashion_mnist_small": 0.931,
        **changes,
    }
    size = {"macs": 5_000_000, "parameters": 90_000, "removed_macs": 0.52, "seconds": 61.2}
    return {name: {"test": {"top1": value}, **size} for name, value in top1.items()}


def _lifecycle(pictures: int = 100, /, **changes: float) -> Lifecycle:
    truth = np.arange(pictures) % 10
    answers = Answers(truth, truth, truth, seconds=2.0)
    rates = {"fashion_mnist_teacher": {1: 300.0, 8: 350.0}, "fashion_mnist_small": {1: 1500.0, 8: 4000.0}}
    lite0 = Quantised(8, 8, {"1": {1: 300.0, 8: 350.0}, "3": {1: 380.0, 8: 430.0}}, {"kl_mean_nats": 0.0077})
    served = Served(answers, rates, ("tiger cat", "tiger cat"), ("1", "1"), lite0)
    return Lifecycle(_results(**changes), {"fashion_mnist_small": EVALUATION}, SEEDS, served)


@pytest.mark.parametrize(
    ("run", "top1", "missed"),
    [
        ("fashion_mnist_teacher", 0.934, ["teacher: top-1"]),
        ("distil_1", 0.89, ["student: taught above alone, means of the seeds"]),
        ("fashion_mnist_prune", 0.928, ["pruned: top-1 below the wide student"]),
        (
            "fashion_mnist_small",
            0.9285,
            ["INT8: top-1 below the pruned student", "final student: top-1 below the teacher"],
        ),
    ],
)
def test_a_goal_that_is_missed_is_told(run: str, top1: float, missed: list[str]) -> None:
    """All are met with the figures as they are; each misses its own when its run is worse."""
    assert all(goal.met for goal in goals(_lifecycle()))
    found = _lifecycle(**{run: top1})
    assert [goal.text for goal in goals(found) if not goal.met] == missed
    assert not passed(found, held=True)
    assert passed(found, held=False)


def test_the_page_tells_every_run_with_mean_and_spread() -> None:
    """And what the cluster answered."""
    page = render(_lifecycle(), "error: the accuracy gate: no", [], {"Date": "2026-01-01"})
    assert "| distil, mean and deviation | | 92.15% +- 0.07 | | | |" in page
    assert "| fashion_mnist_small | 1,500 | 4,000 |" in page
    assert "100.00% of 100 pictures right, in 2.0 s; 100 of its first classes" in page
    assert "error: the accuracy gate: no" in page


def test_the_page_tells_what_the_gates_measured() -> None:
    """Calibration and each corruption of the runs that were evaluated, and EfficientNet-Lite0 in INT8."""
    page = render(_lifecycle(), "error: the accuracy gate", [], {})
    assert page.index("## Served") < page.index("error: the accuracy gate") < page.index("## EfficientNet-Lite0")
    assert "| expected calibration error, without and with its temperature | 0.0200, 0.0080 |" in page
    assert "| shot noise | 60.0% |" in page
    assert "| version 3 | 380.0 | 430.0 |" in page
    assert "8 of 8 photographs have the same first class" in page
    assert "| kl_mean_nats | 0.0077 |" in page


def test_a_quantised_version_that_is_slower_or_answers_otherwise_misses_a_goal() -> None:
    """Both are measured through the running cluster."""
    found = _lifecycle()
    slow = replace(found.served.lite0, throughput={"1": {1: 300.0}, "3": {1: 290.0}})
    other = replace(found.served.lite0, alike=7)
    for lite0, missed in ((slow, "throughput through Triton / that of floats"), (other, "first class of floats")):
        worse = replace(found, served=replace(found.served, lite0=lite0))
        (goal,) = (goal for goal in goals(worse) if not goal.met)
        assert missed in goal.text


def test_counts_are_whole_and_every_table_is_closed() -> None:
    """A table whose header is open on the right is no table everywhere."""
    page = render(_lifecycle(10_000), "", [], {})
    assert "| gateway: first class as offline, of 10,000 | 10,000 | >= 10,000 | yes |" in page
    assert not [line for line in page.splitlines() if line.startswith("|") and not line.endswith("|")]


def test_what_the_cluster_must_answer_counts_without_goals() -> None:
    """Another class than offline, or something live that changed, fails a run of few pictures as well."""
    found = _lifecycle()
    assert passed(found, held=True)
    truth = found.served.student.truth
    other = replace(found.served, student=Answers(truth, np.roll(truth, 1), truth, seconds=2.0))
    changed = replace(found.served, live=("1", "2"))
    assert not any(passed(replace(found, served=served), held=False) for served in (other, changed))


def test_a_command_that_ends_otherwise_than_it_should_is_told(tmp_path: Path) -> None:
    """With what it said; `refused_by` wants status 1, and that gate before any other."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho error: the ${5:-other} gate: no such run; exit ${4:-0}\n")
    python.chmod(0o755)
    shell = Shell(python, tmp_path)
    assert shell("model").output == "error: the other gate: no such run\n"
    assert shell("model", "1", refused_by="other").command == "triptych model 1"
    with pytest.raises(
        CommandError, match=r"triptych model 1\nended with status 1:\nerror: the other gate: no such run"
    ):
        shell("model", "1")
    with pytest.raises(CommandError, match="ended with status 0"):
        shell("model", refused_by="other")
    with pytest.raises(CommandError, match="ended with status 1"):
        shell("model", "1", refused_by="accuracy")
