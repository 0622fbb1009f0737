"""The Makefile's targets hand on what they are given."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_up_takes_the_options_of_triptych_up() -> None:
    """So a repository of one's own is served by the same command as the default one."""
    wanted = "ARGS=--model-repository some/models"
    make = shutil.which("make")
    assert make
    done = subprocess.run([make, "--dry-run", "up", wanted], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ".venv/bin/triptych up --detach --model-repository some/models" in done.stdout.splitlines()
