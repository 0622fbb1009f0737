"""Processes that are killed at a moment of their work on files, which Python's own audit events count."""

import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

CHANGE, READ = "change", "read"

_COUNTING = """
import os, signal, sys
from pathlib import Path

root, left, kinds = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
moments = []

def count(event, arguments):
    global left
    if event not in {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"} or str(root) not in str(arguments[0]):
        return
    moment = "read" if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR) else "change"
    moments.append(moment)
    left -= moment in kinds
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
"""


def dies(root: Path, words: str, after: int, kinds: Collection[str] = (CHANGE,)) -> bool:
    """Runs words of Python that are killed before their next moment below `root` after so many; says whether.

    Args:
        root: a folder, which the words find under that name.
        words: a program.
        after: moments that it lives to see.
        kinds: which moments count.
    """
    done = _run(words, root, after, kinds)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def moments(root: Path, words: str) -> list[str]:
    """Runs words of Python to their end, and returns the kinds of the moments that they have."""
    done = _run(f"{words}\nprint(*moments)", root, 0, ())
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def _run(words: str, root: Path, after: int, kinds: Collection[str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", _COUNTING + words, str(root), str(after), *kinds]
    return subprocess.run(command, check=False, env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True)
