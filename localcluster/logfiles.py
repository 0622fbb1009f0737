"""Log files of the processes: one each, of bounded size, readable while they grow."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

LIMIT_BYTES = 16 * 1024 * 1024
"""A log file is moved aside at about this size; one older file is kept, so each process uses at most twice this."""


def older(path: Path) -> Path:
    """Returns where the log before this one is kept."""
    return path.with_suffix(".log.1")


def begin(path: Path) -> None:
    """Starts a new log file and keeps the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(older(path))
    path.touch()


def bound(path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
    """Moves the content of a full log aside; the process goes on writing to the same, now empty, file.

    Where the disk has no room for it, it goes.
    """
    if path.stat().st_size > limit_bytes:
        with suppress(OSError):
            shutil.copyfile(path, older(path))
        os.truncate(path, 0)  # writers append, so they go on at the new end


def tail(path: Path, lines: int = 20, most_bytes: int = 64 * 1024) -> list[str]:
    """Returns the last lines of a log; none when there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most_bytes))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


class LogReader:
    """Reads the lines that are added to a log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._inode = 0
        self._rest = b""

    def read(self) -> list[str]:
        """Returns the whole lines that came since the last call."""
        if not self._path.exists():
            return []
        found = self._path.stat()
        if found.st_size < self._position or found.st_ino != self._inode:  # it was moved aside
            self._position, self._inode, self._rest = 0, found.st_ino, b""
        with self._path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        self._position += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]
