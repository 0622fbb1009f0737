"""The pictures of a session, out of memory: in a file without a name, which disappears with the process."""

import os
import tempfile
from collections.abc import Iterable
from typing import Self

from modelkit.data.records import Record
from services.preprocess.magic import sniff


class Spool:
    """Hands out pictures by id, from any thread."""

    def __init__(self, records: Iterable[Record], wanted: set[str]) -> None:
        """Copies the wanted images of a data set."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- `__exit__` closes it
        self._places: dict[str, tuple[int, int, str]] = {}
        for record in records:
            if record.id in wanted and record.id not in self._places:
                place = (self._file.tell(), len(record.image), f"image/{sniff(record.image).value}")
                self._file.write(record.image)
                self._places[record.id] = place
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, image: str) -> tuple[bytes, str] | None:
        """Returns an image's bytes and media type, None if it is none of the session's."""
        if image not in self._places:
            return None
        offset, length, kind = self._places[image]
        return os.pread(self._file.fileno(), length, offset), kind
