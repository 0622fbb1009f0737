"""The journal: what was taken, on this machine's disk, before anybody is told so."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class Kind(IntEnum):
    """Says what an entry is: which message its payload holds."""

    EVIDENCE = 1  # RecordEvidenceRequest
    FEEDBACK = 2  # SubmitFeedbackRequest
    DELETION = 3  # DeletePredictionsRequest


@dataclass(frozen=True, slots=True)
class Entry:
    """Is one entry; `end` is the position behind it."""

    kind: Kind
    time_us: int
    payload: bytes
    start: int
    end: int


class Journal:
    """Takes entries from the event loop, and gives them to one thread that applies them."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Opens the journal, and cuts off an entry that a crash left half written.

        Args:
            folder: where its files are; made where it does not exist.
            max_bytes: most that it may hold.
        """
        raise NotImplementedError

    async def append(self, kind: Kind, payload: bytes, time_us: int) -> None:
        """Returns once the entry is on disk. Entries that come at the same time share the wait.

        Raises:
            ResourceExhausted: the journal or the disk is full; nothing was taken.
        """
        raise NotImplementedError

    def read(self, position: int, max_bytes: int) -> Sequence[Entry]:
        """Returns entries from a position on."""
        raise NotImplementedError

    def discard(self, position: int) -> None:
        """Forgets what lies before a position."""
        raise NotImplementedError

    def close(self) -> None:
        """Writes what is left, and stops."""
        raise NotImplementedError
