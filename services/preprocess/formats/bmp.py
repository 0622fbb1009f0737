"""BMP: plain pixels only."""

import struct

from services.preprocess.formats.header import Format, Header, corrupt, unsupported

_OLD_HEADER_BYTES = 12
_NEWER_HEADER_BYTES = frozenset({40, 52, 56, 64, 108, 124})
_PLAIN, _BIT_FIELDS = 0, 3


def read_header(content: bytes) -> Header:
    """Reads the size.

    Raises:
        InvalidArgument: the header is damaged, or the pixels are compressed: Pillow expands runs in Python, holding the
            interpreter's lock all the while.
        struct.error: the content ends inside a field.
    """
    (header_bytes,) = struct.unpack_from("<I", content, 14)
    if header_bytes == _OLD_HEADER_BYTES:
        width_px, height_px = struct.unpack_from("<HH", content, 18)
        return Header(Format.BMP, width_px, height_px, content)
    if header_bytes not in _NEWER_HEADER_BYTES:
        raise corrupt(Format.BMP)
    width_px, height_px, compression = struct.unpack_from("<ii4xI", content, 18)
    if compression not in (_PLAIN, _BIT_FIELDS):
        raise unsupported("Triptych reads uncompressed BMP only; re-encode this one as PNG.")
    return Header(Format.BMP, width_px, abs(height_px), content)  # rows from the top have a negative height
