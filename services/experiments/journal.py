"""The journal: everything taken is on this machine's disk, in order, before anybody is told so.

Positions count bytes since the journal was begun. It lies in segments, files that are deleted when everything in them
is in the database. What a crash left half written is cut off when the journal is opened; what the disk changed
afterwards is kept aside and reported, never dropped in silence.
"""

import asyncio
import errno
import fcntl
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import structlog

from servicekit.errors import Reason, ResourceExhausted, TriptychError, Unavailable
from services.experiments.frames import HEADER_BYTES, BrokenEntryError, Entry, Kind, pack, size, unpack
from services.experiments.segment import SUFFIX, Segment, list_segments, sync_folder, whole_until, write_durably

log = structlog.get_logger()

SEGMENT_BYTES = 64 * 1024**2
EVIDENCE_PART = 0.8
"""Of the journal's room: the rest is for feedback, which nobody can send again."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JournalError(Exception):
    """Says why a journal cannot be opened."""


class Batch(NamedTuple):
    """Is what was read: entries, and the position to go on from."""

    entries: list[Entry]
    end: int


@dataclass(slots=True)
class _Group:
    """Are entries that wait for the same write."""

    done: asyncio.Future[None]
    frames: list[bytes] = field(default_factory=list)


class Journal:
    """Takes entries from the event loop, and gives them to one thread that applies them."""

    def __init__(self, folder: Path, max_bytes: int, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Opens the journal, and cuts off an entry that a crash left half written.

        Args:
            folder: where its files are; made where it does not exist.
            max_bytes: most that it may hold.
            segment_bytes: at which size another file is begun.

        Raises:
            JournalError: another process has it open.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock(folder)
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes // 8)
        self._files = threading.Lock()  # of the list of segments, and of everything that is written
        self._grown = threading.Condition()
        self._thread = ThreadPoolExecutor(1, "journal")
        self._group: _Group | None = None
        self._flush: asyncio.Task[None] | None = None
        self._pending_bytes = 0
        self._problem = ""
        self.lacks_room = False
        """Whether the disk was full when the last entries came."""
        self.name = _name(folder)
        """Tells this journal from every other one."""
        self._segments = list_segments(folder) or [self._make_segment(0)]
        self._repair(self._segments[-1])

    @property
    def start(self) -> int:
        """Returns the first position that is still kept."""
        return self._segments[0].start

    @property
    def end(self) -> int:
        """Returns the position behind what is safe."""
        return self._segments[-1].end

    @property
    def length(self) -> int:
        """Returns its size."""
        return self.end - self.start

    async def append(self, kind: Kind, payload: bytes, time_us: int) -> None:
        """Returns once the entry is on disk. Entries that come at the same time share the wait.

        Raises:
            ResourceExhausted: the journal or the disk is full; nothing was taken.
            Unavailable: the disk fails; nothing was taken.
        """
        frame = pack(kind, payload, time_us)
        self._check_room(kind, len(frame))
        self._pending_bytes += len(frame)
        if self._group is None:
            self._group = _Group(asyncio.get_running_loop().create_future())
        group = self._group
        group.frames.append(frame)
        if self._flush is None:
            self._flush = asyncio.create_task(self._write_groups())
        await asyncio.shield(group.done)  # who gives up does not take the others along

    def read(self, position: int, max_bytes: int) -> Batch:
        """Returns entries from a position on, at least one where there are any.

        Args:
            position: an end of an entry; one that is no longer kept means the first that is.
            max_bytes: about how many to read.
        """
        position = max(position, self.start)
        for segment in self._from(position):
            begin = max(position, segment.start)
            entries = self._entries(segment, begin, max_bytes)
            if entries:
                return Batch(entries, entries[-1].end)
            position = segment.end
        return Batch([], position)

    def wait(self, position: int, timeout_s: float) -> bool:
        """Waits until something lies behind a position, or `wake` is called. Says whether something does."""
        with self._grown:
            return self.end > position or (self._grown.wait(timeout_s) and self.end > position)

    def wake(self) -> None:
        """Ends every `wait`."""
        with self._grown:
            self._grown.notify_all()

    def discard(self, position: int) -> None:
        """Deletes the segments that lie before a position; the newest one stays."""
        with self._files:
            while len(self._segments) > 1 and self._segments[0].end <= position:
                gone = self._segments.pop(0)
                gone.close()
                gone.path.unlink()

    def release(self, position: int) -> None:
        """Deletes all that lies before a position, also the newest segment: another one is begun in its place."""
        with self._files:
            if self._segments[-1].length:
                self._segments.append(self._make_segment(self.end))
        self.discard(position)

    def keep_refused(self, entry: Entry) -> None:
        """Writes an entry that can never be applied to a file of its own, as it stands in the journal."""
        path = self._folder / f"{entry.start:020}.refused"
        write_durably(path, pack(entry.kind, entry.payload, entry.time_us))

    def rename(self) -> None:
        """Becomes another journal: what the database knows of this one no longer holds."""
        self.name = _write_name(self._folder)

    async def close(self) -> None:
        """Waits for what is being written, and closes the files."""
        if self._flush is not None:
            await asyncio.wait([self._flush])
        self._thread.shutdown()
        for segment in self._segments:
            segment.close()
        os.close(self._lock_file)

    def _check_room(self, kind: Kind, added: int) -> None:
        part = EVIDENCE_PART if kind is Kind.EVIDENCE else 1.0
        if self.length + self._pending_bytes + added > part * self._max_bytes:
            raise _full()

    async def _write_groups(self) -> None:
        """Writes one group after the other; while one is written, the next one gathers."""
        loop = asyncio.get_running_loop()
        while (group := self._group) is not None:
            self._group = None
            data = b"".join(group.frames)
            try:
                await loop.run_in_executor(self._thread, self._write, data)
            except OSError as error:
                group.done.set_exception(self._failure(error))
                group.done.exception()  # is known, even if all who waited gave up
            else:
                self._problem, self.lacks_room = "", False
                group.done.set_result(None)
            finally:
                self._pending_bytes -= len(data)
        self._flush = None

    def _write(self, data: bytes) -> None:
        with self._files:
            if self._segments[-1].length >= self._segment_bytes:
                self._segments.append(self._make_segment(self.end))
            self._segments[-1].append(data)
        self.wake()

    def _make_segment(self, start: int) -> Segment:
        segment = Segment(self._folder / f"{start:020}{SUFFIX}")
        sync_folder(self._folder)
        return segment

    def _failure(self, error: OSError) -> TriptychError:
        if self._problem != str(error):
            self._problem = str(error)
            log.error("the journal cannot be written", error=self._problem)
        self.lacks_room = error.errno in _FULL
        return _full() if self.lacks_room else Unavailable("The journal cannot be written now; try again later.")

    def _from(self, position: int) -> Iterator[Segment]:
        with self._files:
            segments = list(self._segments)
        return (segment for segment in segments if segment.end > position)

    def _entries(self, segment: Segment, begin: int, max_bytes: int) -> list[Entry]:
        """Returns entries of one segment; none where it is broken there, and then keeps the rest of it aside."""
        end = segment.end
        entries: list[Entry] = []
        try:
            data = segment.read(begin, min(end, begin + max(max_bytes, HEADER_BYTES)))
            needed = size(data[:HEADER_BYTES])
            if needed > len(data):
                data = segment.read(begin, min(end, begin + needed))
            for entry in unpack(data, begin):
                entries.append(entry)  # noqa: PERF402 (those before a broken one count)
        except BrokenEntryError:
            pass
        if not entries:
            self._keep_aside(begin, segment.read(begin, end))
        return entries

    def _repair(self, segment: Segment) -> None:
        """Cuts off what a crash left at the end of the newest segment."""
        end, rest = whole_until(segment)
        if rest:
            self._keep_aside(end, rest)
        if end < segment.end:
            log.warning("the end of the journal was not written to the end", cut_bytes=segment.end - end)
            segment.cut(end)

    def _keep_aside(self, position: int, data: bytes) -> None:
        path = self._folder / f"{position:020}.broken"
        write_durably(path, data)
        log.error("the journal is broken; what cannot be read is kept aside", file=path.name, bytes=len(data))


def _full() -> ResourceExhausted:
    message = "There is no room for more; nothing of this was taken. Try again later."
    return ResourceExhausted(message, reason=Reason.STORE_FULL, retry_after_s=5.0)


def _lock(folder: Path) -> int:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise JournalError(f"another process uses {folder}") from None
    return handle


def _name(folder: Path) -> str:
    path = folder / "name"
    return path.read_text() if path.exists() else _write_name(folder)


def _write_name(folder: Path) -> str:
    name = uuid.uuid4().hex
    write_durably(folder / "name", name.encode())
    return name
