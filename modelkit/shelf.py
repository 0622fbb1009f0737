"""Puts files into a model repository so that a reader, and a crash, meets each one whole or not at all."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SCRATCH = ".publish-"
"""Begins the names of unfinished folders, which no reader looks at."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds off other publishers of the same model, on this machine, without leaving a lock file behind.

    What a publisher that was killed left unfinished is removed.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for leftover in folder.glob(f"{SCRATCH}*"):  # nobody else writes while we hold the lock: its writer died
            shutil.rmtree(leftover)
        yield
    finally:
        os.close(descriptor)


def replace_file(path: Path, text: str) -> None:
    """Gives a file another content; one that has it already keeps its date, which tells Triton that nothing changed."""
    data = text.encode()
    if path.exists() and path.read_bytes() == data:
        return
    with scratch(path.parent) as unfinished:
        write_durably(unfinished / path.name, data)
        (unfinished / path.name).replace(path)
    sync_folder(path.parent)


def place_folder(place: Path, files: Mapping[str, bytes]) -> None:
    """Makes a folder with these files; one of the same name is replaced."""
    with scratch(place.parent) as unfinished:
        whole = unfinished / place.name
        whole.mkdir()
        for name, data in files.items():
            write_durably(whole / name, data)
        sync_folder(whole)
        if place.exists():
            place.rename(unfinished / "replaced")
        whole.rename(place)
    sync_folder(place.parent)


def remove_folder(place: Path) -> None:
    """Removes a folder; a reader finds all of it or nothing."""
    with scratch(place.parent) as doomed:
        place.rename(doomed / place.name)
    sync_folder(place.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Writes a file and waits until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Lends a hidden folder on the same file system, where a rename is atomic; one that a kill leaves goes later."""
    lent = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=folder))
    try:
        yield lent
    finally:
        shutil.rmtree(lent)
