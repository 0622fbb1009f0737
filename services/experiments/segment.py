"""One file of the journal."""

import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from services.experiments.frames import BrokenEntryError, unpack

SUFFIX = ".log"


class Segment:
    """Holds entries from a position of the journal on; its name tells from which."""

    def __init__(self, path: Path) -> None:
        """Opens a file, or makes it."""
        self.path = path
        self.start = int(path.stem)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.end = self.start + os.fstat(self._file).st_size

    @property
    def length(self) -> int:
        """Returns its size."""
        return self.end - self.start

    def append(self, data: bytes) -> None:
        """Returns once the bytes are on disk; where that fails, nothing of them counts as written.

        Raises:
            OSError: it failed.
        """
        try:
            self._write(data)
        except OSError:
            with suppress(OSError):  # what stays then is written over by the next entry, or cut off at the next start
                os.ftruncate(self._file, self.length)
            raise
        self.end += len(data)

    def _write(self, data: bytes) -> None:
        view, at = memoryview(data), self.length
        while view:
            written = os.pwrite(self._file, view, at)
            view, at = view[written:], at + written
        os.fdatasync(self._file)

    def read(self, begin: int, end: int) -> bytes:
        """Returns the bytes between two positions, or fewer where there are fewer."""
        pieces = []
        while begin < end and (piece := os.pread(self._file, end - begin, begin - self.start)):
            pieces.append(piece)
            begin += len(piece)
        return b"".join(pieces)

    def cut(self, position: int) -> None:
        """Throws away what lies behind a position."""
        os.ftruncate(self._file, position - self.start)
        os.fdatasync(self._file)
        self.end = position

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def list_segments(folder: Path) -> list[Segment]:
    """Opens all files of a journal, the oldest first; each ends where the next one begins."""
    found = [Segment(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    for segment, following in pairwise(found):
        segment.end = following.start
    return found


def whole_until(segment: Segment) -> tuple[int, bytes]:
    """Returns the position behind the last whole entry, and what comes there instead of another one.

    A crash leaves half an entry, or zeros; anything else that is not empty means that the disk lost something.
    """
    data, position = segment.read(segment.start, segment.end), segment.start
    torn = True
    try:
        for entry in unpack(data, position):
            position = entry.end
    except BrokenEntryError:
        torn = False
    rest = data[position - segment.start :]
    return position, b"" if torn or not any(rest) else rest


def write_durably(path: Path, data: bytes) -> None:
    """Writes a file that is there as a whole or not at all, and returns once it is on disk."""
    partial = path.with_name(f"{path.name}.new")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Returns once the names of new files are on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
