"""`triptych tune` on this machine, as short as can be: one measurement of a real cluster."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e


def test_the_defaults_are_measured_and_nothing_is_left(tmp_path: Path) -> None:
    """A second is enough for the defaults alone: they are told, nothing is written, and no cluster stays behind."""
    homes = (f"XDG_CONFIG_HOME={tmp_path}/config", f"TMPDIR={tmp_path}")
    command = ["env", *homes, sys.executable, "-m", "triptych.cli", "tune", "--seconds", "1", "--callers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert 0 == done.returncode, done.stderr
    assert "defaults" in done.stdout
    assert "Only the defaults were measured." in done.stdout
    assert [] == list(tmp_path.iterdir())
    assert [] == _processes_that_name(str(tmp_path))


def _processes_that_name(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended since
            found.append(path.read_text(errors="replace").replace("\0", " "))
    return [command for command in found if text in command]
