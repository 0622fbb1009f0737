"""Writes what happens in a run as JSON lines and for TensorBoard."""

import json
from pathlib import Path
from typing import Any, Self

from torch.utils.tensorboard import SummaryWriter

from modelkit.train.files import write_atomically
from modelkit.train.run import METRICS_FILE


class Journal:
    """Appends lines; a resumed run first forgets what came after its checkpoint."""

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / METRICS_FILE
        write_atomically(self._path, "".join(_until(self._path, step)).encode())
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._board.close()

    def note(self, kind: str, step: int, **figures: float) -> None:
        """Appends figures.

        Args:
            kind: `train`, or the split that was measured.
            step: steps done.
            figures: by name.
        """
        self._file.write(json.dumps({"kind": kind, "step": step, **figures}) + "\n")
        for name, value in figures.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def flush(self) -> None:
        """Returns when TensorBoard's writer, a thread with a queue, has written all: a kill then loses none of it."""
        self._board.flush()


def read_metrics(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Reads a run's lines of one kind."""
    lines = (json.loads(line) for line in (folder / METRICS_FILE).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["kind"] == kind]


def _until(path: Path, step: int) -> list[str]:
    """Returns the whole lines up to a step; what a crash cut off is no line."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
