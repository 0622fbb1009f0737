"""Tells the memory of a process that serves one ONNX file: `python -m modelkit.evaluate.memory FILE HEIGHT WIDTH`.

A process of its own, because what others have loaded would count otherwise.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelkit.engine import compiled
from servicekit.manifest import Recipe

_BATCH = 8
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Memory:
    """Is resident memory, bytes."""

    total: int
    """Of a process with Python, OpenVINO and the model, after a batch of 8."""
    model: int
    """What the model, compiled for one thread, and that batch added."""


def measure_memory(file: Path, recipe: Recipe) -> Memory:
    """Measures in a new process.

    Args:
        file: the ONNX file.
        recipe: what it takes.

    Raises:
        subprocess.CalledProcessError: the process failed; its words are on this process's stderr.
    """
    command = [sys.executable, "-m", "modelkit.evaluate.memory", str(file), str(recipe.height), str(recipe.width)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 -- our own module
    return Memory(**json.loads(done.stdout))


def main(file: str, height: str, width: str) -> None:
    """Serves one batch, and writes what it took as JSON."""
    data = Path(file).read_bytes()
    before = _resident()
    compiled(data, threads=1)(np.zeros((_BATCH, int(height), int(width), 3), np.uint8))
    total = _resident()
    sys.stdout.write(json.dumps({"total": total, "model": total - before}))


def _resident() -> int:
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmRSS:"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
