"""Follows a model repository while it is served: what is published, or made live, counts within a second.

The publisher renames each manifest into place as the last of a version's files, so a manifest that is there is whole,
and so is all it names. One that is broken, or that nobody vouches for, changes nothing: what was read before counts.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from prometheus_client import Counter

from servicekit.manifest import MANIFEST_FILE, Check, Manifest, ManifestError, read_repository
from servicekit.server import background
from servicekit.signatures import SignatureError, checking

log = structlog.get_logger()

INTERVAL_S = 0.25
T = TypeVar("T")

Stamp = tuple[str, int, int]
"""Of a file: its path, and its inode and date, which a rename changes."""

REFUSED = Counter(
    "triptych_repository_refused",
    "Changes of the model repository that do not count: `content` is wrong, or a `signature`.",
    ("reason",),
)


class Followed(Generic[T]):
    """Is what was read from a repository, read again when a manifest has changed."""

    def __init__(self, root: Path, read: Callable[[Path, Check | None], T], trusted_keys: Path | None = None) -> None:
        """Reads for the first time.

        Args:
            root: the repository.
            read: reads it, given what says whom to trust; raises ManifestError where it is wrong.
            trusted_keys: file with the keys of which one must have signed each manifest; it is followed, too.

        Raises:
            ManifestError: the repository cannot be used.
        """
        self._root = root
        self._read = read
        self._trusted_keys = trusted_keys
        self._lock = threading.Lock()
        self._refused = {reason: REFUSED.labels(reason) for reason in ("content", "signature")}
        self._seen = self._stamps()
        self.now = read(root, checking(trusted_keys))

    def refresh(self) -> bool:
        """Reads again if a manifest has changed, and says whether; of a repository that is wrong it keeps the last."""
        with self._lock:  # or one that began to read earlier would end later, with what is old
            stamps = self._stamps()
            if stamps == self._seen:
                return False
            self._seen = stamps
            try:
                self.now = self._read(self._root, checking(self._trusted_keys))
            except (ManifestError, OSError) as error:
                self._refused["signature" if isinstance(error, SignatureError) else "content"].inc()
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
        keys = [] if self._trusted_keys is None else [self._trusted_keys]
        return frozenset(_stamps([*self._root.glob(f"*/{MANIFEST_FILE}"), *keys]))


def _stamps(paths: Iterable[Path]) -> Iterator[Stamp]:
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue  # it went meanwhile
        yield str(path), found.st_ino, found.st_mtime_ns


class Models(Mapping[str, Manifest]):
    """Is the manifests of a repository, by name, as they are now.

    A name that is not known is looked for on the disk at once: whoever asks may have heard of it a moment earlier.
    """

    def __init__(self, root: Path, trusted_keys: Path | None = None) -> None:
        """Reads the repository.

        Args:
            root: its folder.
            trusted_keys: file with the keys of which one must have signed each manifest; without it all are trusted.

        Raises:
            ManifestError: it cannot be used.
        """
        self._followed = Followed(root, read_repository, trusted_keys)
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
