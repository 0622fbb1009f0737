"""The photographs that a command was given: files, folders of them, and stdin."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

STDIN = "-"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")

Photograph = tuple[str, bytes]
"""Its name, and the content of the file."""


class UsageError(ValueError):
    """Says what is wrong with the words on the command line."""


class Photographs(Iterable[Photograph]):
    """Reads photographs one after the other, and goes on after one that cannot be read."""

    def __init__(self, words: Sequence[str], complain: Callable[[str], None]) -> None:
        """Begins; reads nothing yet.

        Args:
            words: files, folders or `-`.
            complain: is told of each fault, in a sentence.

        Raises:
            UsageError: stdin is named twice.
        """
        if words.count(STDIN) > 1:
            raise UsageError("`-` stands for one image on stdin and can be given once.")
        self.faults = 0
        self.one = len(words) == 1 and not Path(words[0]).is_dir()
        """Whether a single file was asked for, so that the answer is no list."""
        self._words = words
        self._complain = complain

    def fault(self, name: str, message: str) -> None:
        """Tells of a photograph that is at fault."""
        self.faults += 1
        self._complain(f"{name}: {message}")

    def __iter__(self) -> Iterator[Photograph]:
        for name in self._names():
            content = self._read(name)
            if content is not None:
                yield name, content

    def _names(self) -> Iterator[str]:
        for word in self._words:
            if word == STDIN or not Path(word).is_dir():
                yield word
            elif images := _images(Path(word)):
                yield from map(str, images)
            else:
                self.fault(word, f"This folder holds no images ({', '.join(SUFFIXES)}).")

    def _read(self, name: str) -> bytes | None:
        try:
            content = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        except OSError as error:
            self.fault(name, f"{error.strerror}.")
            return None
        if name == STDIN and not content:
            self.fault(name, "Nothing came on stdin.")
            return None
        return content


def _images(folder: Path) -> list[Path]:
    """Returns the images of a folder, none of the folders in it."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def batches(photographs: Iterable[Photograph], size: int) -> Iterator[list[Photograph]]:
    """Yields the photographs in lists of at most `size`."""
    rest = iter(photographs)
    while batch := list(islice(rest, size)):
        yield batch
