"""Arrays that took long to compute, kept beside a data set's versions: nobody waits for them twice, crash or not.

A file is named by a hash of all that decides its content, so that it is never out of date, only no longer asked for. It
begins with a hash of its content, which tells damage. All of it may be deleted at any time.
"""

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modelkit.data.store import Dataset
from modelkit.train.files import write_atomically

FOLDER = ".cache"
DAYS = 7
"""What was not used for so long goes when the cache is opened next."""
_FORMAT = 1
"""To be raised with every change of our code that makes other arrays of the same data."""
_MAKERS = ("numpy", "scikit-learn", "pillow", "simplejpeg", "cykooz-resizer")
"""Packages of which another version may make others, too."""
_HASH_BYTES = 32

Arrays = dict[str, npt.NDArray[Any]]
Tell = Callable[[str], None]


def silent(_: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Cache:
    """Finds arrays again by their place, which `address` names."""

    folder: Path | None = None
    """None keeps nothing."""
    tell: Tell = silent
    """Is told of files that are damaged or cannot be written."""

    def find(self, place: str) -> Arrays | None:
        """Returns what was kept, None where nothing was or it is damaged."""
        if self.folder is None:
            return None
        file = self.folder / place
        try:
            found = file.read_bytes()
        except OSError:
            return None
        content = memoryview(found)[_HASH_BYTES:]
        if hashlib.sha256(content).digest() != found[:_HASH_BYTES]:
            self.tell(f"{file} is damaged: it is made again")
            return None
        with suppress(OSError):  # of another user, or already deleted
            os.utime(file)
        with np.load(BytesIO(content), allow_pickle=False) as opened:
            return dict(opened)

    def keep(self, place: str, arrays: Arrays) -> Arrays:
        """Keeps arrays, whole or not at all, and returns them; where they cannot be written, that is told."""
        if self.folder is not None:
            content = BytesIO()
            np.savez(content, allow_pickle=False, **arrays)
            data = content.getvalue()
            try:
                self.folder.mkdir(exist_ok=True)
                write_atomically(self.folder / place, hashlib.sha256(data).digest() + data)
            except OSError as error:
                self.tell(f"{self.folder / place} cannot be kept: {error.strerror}")
        return arrays

    def get(self, place: str, make: Callable[[], Arrays]) -> Arrays:
        """Returns what was kept, else makes and keeps it."""
        return self.find(place) or self.keep(place, make())


NOTHING_KEPT = Cache()


def beside(dataset: Dataset, tell: Tell = silent) -> Cache:
    """Opens the cache that all versions of a data set share, and deletes what was not used for `DAYS` days."""
    folder = dataset.folder.parent / FOLDER
    oldest = time.time() - DAYS * 24 * 3600
    for file in folder.glob("*"):
        with suppress(OSError):  # of another user, or already deleted
            if file.stat().st_mtime < oldest:
                file.unlink()
    return Cache(folder, tell)


def address(stage: str, *parts: str | float | npt.NDArray[Any]) -> str:
    """Returns the name of what a stage makes of texts, numbers and arrays, which decide all of it."""
    digest = hashlib.sha256(_maker().encode())
    for part in parts:
        array = np.ascontiguousarray(part)
        digest.update(f"\n{array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return f"{stage}-{digest.hexdigest()[:32]}"


@cache
def _maker() -> str:
    """Describes the code that makes arrays."""
    return " ".join([f"format {_FORMAT}", *(f"{name} {metadata.version(name)}" for name in _MAKERS)])
