"""How an entry of the journal lies in its file: a header with a check of its own, then the payload. Pure."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from zlib import crc32

_FIELDS = struct.Struct("<IIQB")  # length and CRC of the payload, time, kind
_CHECK = struct.Struct("<I")  # CRC of the fields
HEADER_BYTES = _FIELDS.size + _CHECK.size


class Kind(IntEnum):
    """Says which message an entry holds."""

    EVIDENCE = 1  # RecordEvidenceRequest
    FEEDBACK = 2  # SubmitFeedbackRequest
    DELETION = 3  # DeletePredictionsRequest


@dataclass(frozen=True, slots=True)
class Entry:
    """Is something that was taken."""

    kind: Kind
    time_us: int
    """When, in microseconds since 1970."""
    payload: bytes
    start: int
    """Position of its first byte in the journal."""
    end: int
    """Position behind it."""


class BrokenEntryError(ValueError):
    """Says that bytes are not what was once written."""


def pack(kind: Kind, payload: bytes, time_us: int) -> bytes:
    """Returns an entry as it is written."""
    fields = _FIELDS.pack(len(payload), crc32(payload), time_us, kind)
    return b"".join((fields, _CHECK.pack(crc32(fields)), payload))


def size(header: bytes) -> int:
    """Returns how long the entry is that begins with these bytes.

    Raises:
        BrokenEntryError: it is no header.
    """
    fields = header[: _FIELDS.size]
    if len(header) < HEADER_BYTES or _CHECK.unpack_from(header, _FIELDS.size)[0] != crc32(fields):
        raise BrokenEntryError
    return HEADER_BYTES + int(_FIELDS.unpack(fields)[0])


def unpack(data: bytes, position: int) -> Iterator[Entry]:
    """Returns the entries that are whole.

    Args:
        data: begins with an entry, and may end in the middle of one.
        position: of its first byte in the journal.

    Raises:
        BrokenEntryError: something else comes where an entry should begin.
    """
    at = 0
    while len(data) - at >= HEADER_BYTES:
        end = at + size(data[at : at + HEADER_BYTES])
        if end > len(data):
            return
        length, check, time_us, kind = _FIELDS.unpack_from(data, at)
        payload = data[end - length : end]
        if check != crc32(payload) or kind not in iter(Kind):
            raise BrokenEntryError
        yield Entry(Kind(kind), time_us, payload, position + at, position + end)
        at = end
