"""A tensor plane in memory that both processes map: the messages carry offsets only."""

import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.hops.codecs import PIXELS, RawInference, RawPreprocess
from benchmarks.hops.payload import PIXELS_BYTES
from benchmarks.hops.wire import Buffer

SLOTS = 128
_REF = struct.Struct("<QQ")


class Ring:
    """Hands out slots in turn; as many as are ever in flight fit several times over."""

    def __init__(self, path: Path) -> None:
        """Maps the file, making it where it is missing."""
        with path.open("a+b") as file:
            file.truncate(SLOTS * PIXELS_BYTES)
            self._memory = memoryview(mmap.mmap(file.fileno(), SLOTS * PIXELS_BYTES))
        self._next = 0

    def take(self) -> int:
        """Returns the offset of the next slot."""
        self._next = (self._next + 1) % SLOTS
        return self._next * PIXELS_BYTES

    def put(self, row: Buffer, *, copied: bool) -> bytes:
        """Returns the reference of a row, which is copied in unless its maker has written it there."""
        offset = self.take()
        if copied:
            self._memory[offset : offset + len(row)] = row
        return _REF.pack(offset, len(row))

    def views(self, refs: memoryview) -> list[Buffer]:
        """Returns the rows behind references."""
        return [self._memory[offset : offset + size] for offset, size in _REF.iter_unpack(refs)]


class RingInference(RawInference):
    """Sends references instead of pixels."""

    def __init__(self, ring: Ring, *, copied: bool) -> None:
        super().__init__()
        self._ring = ring
        self._copied = copied

    def request(self, rows: Sequence[Buffer]) -> Any:
        """Joins head and references."""
        return super().request([self._ring.put(row, copied=self._copied) for row in rows])

    def _count(self, data: memoryview) -> int:
        return len(self._ring.views(data))


class RingPreprocess(RawPreprocess):
    """Answers references instead of pixels; the images themselves come from callers and travel as they do."""

    def __init__(self, ring: Ring, *, copied: bool) -> None:
        super().__init__()
        self._ring = ring
        self._copied = copied

    def _pixels(self, rows: int) -> Sequence[Buffer]:
        return [self._ring.put(PIXELS, copied=self._copied) for _ in range(rows)]

    def rows(self, response: Any) -> Sequence[Buffer]:
        """Looks the references up."""
        return self._ring.views(self._data(response))
