"""A small disk of its own, to be filled: a file system in memory, which only root may mount."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MIB = 1024**2
_BALLAST = "ballast"
_PIECE = bytes(MIB)


class NoDiskError(Exception):
    """Says that no file system can be mounted here."""


class SmallDisk:
    """Is a mounted file system whose room can be taken and given back."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        self._size_bytes = size_bytes

    @property
    def free_bytes(self) -> int:
        """Returns the room that is left."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Takes all the room but so much, by a file that grows."""
        with (self.folder / _BALLAST).open("ab", buffering=0) as file, suppress(OSError):
            while (room := self.free_bytes - leave_bytes) > 0:
                file.write(_PIECE[:room])

    def give_back(self) -> None:
        """Deletes that file."""
        (self.folder / _BALLAST).unlink(missing_ok=True)

    def enlarge(self, more_bytes: int) -> None:
        """Makes the disk larger."""
        self._size_bytes += more_bytes
        _mount(f"remount,size={self._size_bytes}", self.folder)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mounts a disk on a folder, which is made, while the context is open.

    Raises:
        NoDiskError: it may not be mounted.
    """
    folder.mkdir(parents=True)
    _mount(f"size={size_bytes}", folder)
    try:
        yield SmallDisk(folder, size_bytes)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607 (the system's)


def _mount(options: str, folder: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 (the same)
    except FileNotFoundError:
        raise NoDiskError("a small disk cannot be mounted: there is no `mount`") from None
    except subprocess.CalledProcessError as error:
        raise NoDiskError(f"a small disk cannot be mounted, which needs root: {error.stderr.strip()}") from None
