"""The label file of a session: each answer is on the disk before the page hears that it was taken."""

import fcntl
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from modelkit.data.labelling.answers import HEADER, Answer, check_who, line_of, parse
from modelkit.data.records import DataError


class Journal:
    """Appends answers to a label file that no other session writes."""

    def __init__(self, path: Path, who: str) -> None:
        """Opens the file, or makes it; a line that a crash cut off is removed.

        Args:
            path: the file.
            who: whose answers these are.

        Raises:
            DataError: another session has it, it is no label file, or cannot be written.
        """
        self.path, self.who = path, check_who(who)
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DataError(f"{path}: the label file cannot be written: {error.strerror}") from error
        try:
            self.answers = self._recover()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)

    def add(self, image: str, label: str) -> None:
        """Appends an answer; when this returns, no crash loses it.

        Args:
            image: id of the image.
            label: name of the label; empty takes back what was said.

        Raises:
            OSError: it could not be written; the file is as before.
        """
        answer = Answer(image, label, self.who, datetime.now(UTC))
        with self._lock:
            self._append(line_of(answer))
            self.answers.append(answer)

    def _append(self, line: bytes) -> None:
        before = os.fstat(self._file).st_size
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, before)
            raise

    def _recover(self) -> list[Answer]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"{self.path}: another session writes this label file; name another with --file") from error
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        answers = parse(whole, str(self.path))
        os.ftruncate(self._file, len(whole))
        if not whole:
            self._append((",".join(HEADER) + "\n").encode())
            _sync_folder(self.path.parent)
        return answers


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
