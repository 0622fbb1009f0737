"""Runs `triptych model import` as a process of its own, which knows no other hub than a test's."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
PROGRAM = "from triptych.cli.__main__ import main; main()"


def run_import(root: Path, endpoint: str, source: str, name: str, program: str = PROGRAM) -> tuple[int, str]:
    """Imports a model as the run `name`; returns the exit status and what was said.

    Args:
        root: holds `datasets` with a data set `colours`, gets `runs`, and the hub's cache.
        endpoint: of the hub.
        source: what to import.
        name: of the run.
        program: that runs the command line.
    """
    places = ["--datasets", str(root / "datasets"), "--runs", str(root / "runs"), "--dataset", "colours"]
    known = {"HF_ENDPOINT": endpoint, "HF_HOME": str(root / "hub"), "OMP_NUM_THREADS": "1"}
    paths = {"PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
    done = subprocess.run(
        [sys.executable, "-c", program, "model", "import", source, "--name", name, *places],
        env={**os.environ, **known, **paths},  # noqa: TID251 (a child's)
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
