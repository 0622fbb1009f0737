"""What every reader returns, and how they take bytes from disk."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from modelkit.data.records import Broken, DataError, Item

MAX_IMAGE_BYTES = 16 * 2**20
"""Encoded; what serving takes, too."""


@dataclass(frozen=True, slots=True)
class Source:
    """Is a readable source of images."""

    labels: tuple[str, ...]
    """Names of all labels, in the order of their indices."""
    items: Callable[[], Iterator[Item | Broken]]
    """Reads from the start, always in the same order."""
    total: int | None = None
    """Items there are, if that is known without reading all."""
    files: tuple[Path, ...] = field(default=())
    """What is read: if one of them changes, an import starts again."""


def read_image(path: Path) -> bytes | str:
    """Returns a file's bytes, or why not."""
    try:
        size = path.stat().st_size
        if size > MAX_IMAGE_BYTES:
            return f"the file has {size} bytes; the limit is {MAX_IMAGE_BYTES}"
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return f"the file cannot be read: {getattr(error, 'strerror', None) or error}"


def inside(folder: Path, name: str) -> Path | None:
    """Returns the path of a name below a folder, None if it leads out of it, links included."""
    try:
        path = Path(os.path.realpath(folder / name))
    except ValueError:  # a NUL
        return None
    return path if path.is_relative_to(os.path.realpath(folder)) else None


def files_of(path: Path, *patterns: str) -> list[Path]:
    """Lists a file itself, or the files of a folder and below that have a pattern, sorted.

    Raises:
        DataError: there is none.
    """
    if path.is_file():
        return [path]
    found = sorted({file for pattern in patterns for file in path.rglob(pattern) if file.is_file()})
    if not found:
        raise DataError(f"{path} holds no file named {' or '.join(patterns)}")
    return found
