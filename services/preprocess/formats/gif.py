"""GIF: finds the first picture, however much metadata comes before it; whatever follows is never read."""

import struct

from services.preprocess.formats.header import MAX_PARTS, Format, Header, corrupt, too_many_parts

_EXTENSION, _PICTURE = 0x21, 0x2C
_SCREEN_BYTES = 13


def read_header(content: bytes) -> Header:
    """Reads the size: that of the screen, or more where the first picture reaches beyond it.

    Raises:
        InvalidArgument: no picture follows, or too many blocks come before it.
        struct.error: the content ends inside a field.
    """
    screen_width_px, screen_height_px, flags = struct.unpack_from("<HHB", content, 6)
    at = _first_picture(content, _SCREEN_BYTES + _color_table_bytes(flags))
    left, top, width_px, height_px = struct.unpack_from("<HHHH", content, at + 1)
    return Header(Format.GIF, max(screen_width_px, left + width_px), max(screen_height_px, top + height_px), content)


def _color_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _first_picture(content: bytes, at: int) -> int:
    """Returns where the first picture's descriptor begins, skipping extensions block by block."""
    for _ in range(MAX_PARTS):
        if content[at] == _PICTURE:
            return at
        if content[at] != _EXTENSION:
            raise corrupt(Format.GIF)
        at = _after_blocks(content, at + 2)
    raise too_many_parts(Format.GIF)


def _after_blocks(content: bytes, at: int) -> int:
    for _ in range(MAX_PARTS):
        size = content[at]
        at += 1 + size
        if not size:
            return at
    raise too_many_parts(Format.GIF)
