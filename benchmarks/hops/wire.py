"""The few rules of protobuf's wire format with which a large field is written and found without being copied."""

from collections.abc import Iterator

Buffer = bytes | memoryview

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def prefix(field: int, size: int) -> bytes:
    """Returns what precedes the `size` bytes of a length-delimited field; `field` is below 16."""
    return bytes((field << 3 | _LENGTH,)) + _varint(size)


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _read_varint(buffer: Buffer, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        group = buffer[at]
        at += 1
        number |= (group & 0x7F) << shift
        if group < 0x80:
            return number, at
        shift += 7


def fields(buffer: Buffer, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields number, start, start of the content and end of every length-delimited field in `buffer[at:end]`.

    Raises:
        ValueError: the bytes are no message.
    """
    while at < end:
        start = at
        key, at = _read_varint(buffer, at)
        kind = key & 7
        if kind == _LENGTH:
            size, at = _read_varint(buffer, at)
            yield key >> 3, start, at, at + size
            at += size
        elif kind == _VARINT:
            _, at = _read_varint(buffer, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"Wire type {kind} at byte {start} is unknown.")
