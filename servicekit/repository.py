"""Follows a model repository while it is served: what is published, or made live, counts within a second.

The publisher renames each manifest into place as the last of a version's files, so a manifest that is there is whole,
and so is all it names.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from servicekit.manifest import MANIFEST_FILE, Manifest, ManifestError, read_repository
from servicekit.server import background

log = structlog.get_logger()

INTERVAL_S = 0.25
T = TypeVar("T")

Stamp = tuple[str, int, int]
"""Of a manifest: its path, and its inode and date, which a rename changes."""


class Followed(Generic[T]):
    """Is what was read from a repository, read again when a manifest has changed."""

    def __init__(self, root: Path, read: Callable[[Path], T]) -> None:
        """Reads for the first time.

        Args:
            root: the repository.
            read: reads it; raises ManifestError where it is wrong.

        Raises:
            ManifestError: the repository cannot be used.
        """
        self._root = root
        self._read = read
        self._lock = threading.Lock()
        self._seen = self._stamps()
        self.now = read(root)

    def refresh(self) -> bool:
        """Reads again if a manifest has changed, and says whether; of a repository that is wrong it keeps the last."""
        with self._lock:  # or one that began to read earlier would end later, with what is old
            stamps = self._stamps()
            if stamps == self._seen:
                return False
            self._seen = stamps
            try:
                self.now = self._read(self._root)
            except (ManifestError, OSError) as error:
                log.warning("the model repository is wrong; what was read before counts", problem=str(error))
                return False
            log.info("the model repository has changed")
            return True

    @asynccontextmanager
    async def running(self, interval_s: float = INTERVAL_S) -> AsyncIterator[None]:
        """Keeps up with the repository while the context is open."""
        async with background(self._follow(interval_s)):
            yield

    async def _follow(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            await asyncio.to_thread(self.refresh)  # a file system of the network may let one wait

    def _stamps(self) -> frozenset[Stamp]:
        return frozenset(_stamps(self._root))


def _stamps(root: Path) -> Iterator[Stamp]:
    for path in root.glob(f"*/{MANIFEST_FILE}"):
        try:
            found = path.stat()
        except OSError:
            continue  # it went meanwhile
        yield str(path), found.st_ino, found.st_mtime_ns


class Models(Mapping[str, Manifest]):
    """Is the manifests of a repository, by name, as they are now.

    A name that is not known is looked for on the disk at once: whoever asks may have heard of it a moment earlier.
    """

    def __init__(self, root: Path) -> None:
        """Reads the repository.

        Raises:
            ManifestError: it cannot be used.
        """
        self._followed = Followed(root, read_repository)
        self.running = self._followed.running
        self.refresh = self._followed.refresh

    def __getitem__(self, name: str) -> Manifest:
        if name not in self._followed.now:
            self._followed.refresh()
        return self._followed.now[name]

    def __contains__(self, name: object) -> bool:
        return name in self._followed.now or (self._followed.refresh() and name in self._followed.now)

    def __iter__(self) -> Iterator[str]:
        return iter(self._followed.now)

    def __len__(self) -> int:
        return len(self._followed.now)
