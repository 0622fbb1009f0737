"""What a run tells: TensorBoard's own reader finds in its files what the log has."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from slow import toy_training
from slow.toy_training import toy_killed
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

from modelkit.train.journal import Journal, read_metrics

pytestmark = [pytest.mark.timeout(600)]

Curves = dict[str, list[tuple[int, float]]]


def _shown(folder: Path) -> Curves:
    """Returns what TensorBoard shows."""
    board = EventAccumulator(str(folder / "tensorboard"), {SCALARS: 0}).Reload()
    return {tag: [(each.step, each.value) for each in board.Scalars(tag)] for tag in board.Tags()[SCALARS]}


def _logged(folder: Path) -> Curves:
    """Returns what the log has, in TensorBoard's fp32."""
    curves: Curves = defaultdict(list)
    for kind in ("train", "val"):
        for line in read_metrics(folder, kind):
            for name in line.keys() - {"kind", "step"}:
                curves[f"{kind}/{name}"].append((line["step"], float(np.float32(line[name]))))
    return curves


def test_tensorboard_shows_what_the_log_has(tmp_path: Path) -> None:
    """Loss, rate and accuracy of a run that was killed, with steps noted since its checkpoint: each step once."""
    changes = ("monitor=val", "checkpoint_steps=null")
    toy_killed(tmp_path, 7, *changes)
    resume = [sys.executable, toy_training.__file__, str(tmp_path), *changes]
    subprocess.run(resume, check=True, capture_output=True)
    shown = _shown(tmp_path / "toy")
    assert shown == _logged(tmp_path / "toy")
    assert {"train/loss", "train/lr", "val/top1"} < shown.keys()
    assert list(range(1, 13)) == [step for step, _ in shown["train/loss"]]
    assert [4, 8, 12] == [step for step, _ in shown["val/top1"]]
    assert len(list((tmp_path / "toy" / "tensorboard").iterdir())) == 2


def test_what_is_noted_before_a_checkpoint_is_in_the_files_by_then(tmp_path: Path) -> None:
    """Nothing waits in memory, where a kill would lose it."""
    with Journal(tmp_path, 0) as journal:
        for step in range(1, 301):
            journal.note("train", step, loss=1 / step)
        journal.flush()
        written = [path.read_bytes() for path in (tmp_path / "tensorboard").iterdir()]
    assert written == [path.read_bytes() for path in (tmp_path / "tensorboard").iterdir()]
    assert len(_shown(tmp_path)["train/loss"]) == 300
