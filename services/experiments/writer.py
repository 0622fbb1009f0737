"""Brings what is in the journal to the database: in order, and each entry once, whatever fails on the way."""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, select, update

from servicekit.errors import Unavailable
from services.experiments.apply import Labels, apply
from services.experiments.counters import APPLIED_ROWS, LABELS
from services.experiments.database import Database, refuses_content, take_turns
from services.experiments.frames import Entry
from services.experiments.journal import Batch, Journal
from services.experiments.retention import Limits, sweep
from services.experiments.rows import Rows, to_rows
from services.experiments.statements import write
from services.experiments.tables import APPLIED

log = structlog.get_logger()

READ_BYTES = 1024**2
"""Of a transaction, about."""
GATHER_S = 0.1
"""How long the first entry waits for others: each transaction waits for the disk once."""
LONGEST_PAUSE_S = 5.0
TIDY_EVERY_S = 60.0


class _MovedError(Exception):
    """Says that the database is further than was thought: a transaction was written whose answer got lost."""


class Progress(NamedTuple):
    """Says how far the writer is."""

    waiting_bytes: int
    """Of the journal, which are not in the database."""
    behind_s: float
    """For how long there have been any."""
    refused: int
    """Entries that the database did not take, and that were kept aside."""
    away: bool
    """Whether the last try failed."""


class Writer:
    """Is the one thread that writes facts."""

    def __init__(self, database: Database, journal: Journal, limits: Limits, *, gather_s: float = GATHER_S) -> None:
        self._database = database
        self._journal = journal
        self._limits = limits
        self._gather_s = gather_s
        self._position: int | None = None  # None: the database must be asked
        self._refused = 0
        self._level_at = time.monotonic()
        self._failures = 0
        self._tidy_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def stop(self) -> None:
        """Finishes the transaction in work, and ends; what is left stays in the journal."""
        self._stopping.set()
        self._journal.wake()
        self._thread.join()

    def progress(self) -> Progress:
        """Returns how far it is."""
        position = self._journal.start if self._position is None else self._position
        waiting_bytes = max(0, self._journal.end - position)
        behind_s = time.monotonic() - self._level_at if waiting_bytes else 0.0
        return Progress(waiting_bytes, behind_s, self._refused, self._failures > 0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.step()
            except Exception as error:  # noqa: BLE001 (nothing may end this thread: acknowledged entries wait for it)
                self._pause(error)
            else:
                self._failures = 0

    def _pause(self, error: Exception) -> None:
        """Waits, longer each time, before the next try; what the database knows by then, it is asked."""
        self._position = None
        self._failures += 1
        if not isinstance(error, Unavailable | _MovedError):
            log.error("entries of the journal cannot be applied", exc_info=error)
        self._stopping.wait(min(LONGEST_PAUSE_S, 0.05 * 2 ** min(self._failures, 10)))

    def step(self) -> None:
        """Applies what is there, or waits a second for something.

        Raises:
            Unavailable: the database is away.
        """
        if self._position is None:
            self._position = self._find_position()
        if self._journal.wait(self._position, 1.0):
            self._stopping.wait(self._gather_s)
            batch = self._journal.read(self._position, READ_BYTES)
            self._apply(self._position, batch)
            self._position = batch.end
            self._journal.discard(batch.end)
        if self._journal.end == self._position:
            self._level_at = time.monotonic()
            if self._journal.lacks_room:
                self._journal.release(self._position)
        if time.monotonic() >= self._tidy_at:
            self._tidy(self._position)

    def _find_position(self) -> int:
        """Returns how far the database is; where that is further than the journal, this is another journal."""
        with self._database.begin() as connection:
            take_turns(connection)
            asked = select(APPLIED.c.position).where(APPLIED.c.journal == self._journal.name)
            position = connection.execute(asked).scalar_one_or_none()
            if position is not None and position > self._journal.end:
                log.error("the journal is older than the database; all that is in it is applied again")
                self._journal.rename()
                position = None
            if position is None:
                position = self._journal.start
                write(connection, APPLIED, [{"journal": self._journal.name, "position": position}])
        return position

    def _apply(self, begin: int, batch: Batch) -> None:
        try:
            self._write(batch.entries, begin, batch.end)
        except Exception as error:
            if not _is_refused(error):
                raise
            self._apply_singly(begin, batch)

    def _apply_singly(self, begin: int, batch: Batch) -> None:
        """Applies one entry after the other, and keeps aside those that the database does not take."""
        for entry in batch.entries:
            try:
                self._write([entry], begin, entry.end)
            except Exception as error:
                if not _is_refused(error):
                    raise
                log.exception("the database refused an entry, which is kept aside", position=entry.start)
                self._journal.keep_refused(entry)
                self._refused += 1
                self._write([], begin, entry.end)
            begin = self._position = entry.end
        self._write([], begin, batch.end)

    def _write(self, entries: Sequence[Entry], begin: int, end: int) -> None:
        """Applies entries and notes the position in the same transaction."""
        rows = to_rows(entries, self._journal.name, self._limits.image_ttl_us)
        with self._database.begin() as connection:
            take_turns(connection)
            self._move(connection, begin, end)
            labels = apply(connection, rows)
        _count(rows, labels)

    def _move(self, connection: Connection, begin: int, end: int) -> None:
        mine = (APPLIED.c.journal == self._journal.name) & (APPLIED.c.position == begin)
        if connection.execute(update(APPLIED).where(mine).values(position=end)).rowcount != 1:
            raise _MovedError

    def _tidy(self, position: int) -> None:
        """Deletes what is too old; once a minute also what of the journal is in the database."""
        began = time.monotonic()
        with self._database.begin() as connection:
            take_turns(connection)
            more = sweep(connection, self._limits, time.time_ns() // 1000)
        if not more:
            self._journal.release(position)
            took_s = time.monotonic() - began
            self._tidy_at = time.monotonic() + max(TIDY_EVERY_S, 20 * took_s)


def _count(rows: Rows, labels: Labels) -> None:
    """Counts what is in the database now."""
    for kind in ("exposures", "predictions", "shadows", "images", "forgotten"):
        APPLIED_ROWS.labels(kind).inc(len(getattr(rows, kind)))
    for outcome, count in labels._asdict().items():
        LABELS.labels(outcome).inc(count)


def _is_refused(error: Exception) -> bool:
    return refuses_content(error) and not isinstance(error, _MovedError | OSError | MemoryError)
