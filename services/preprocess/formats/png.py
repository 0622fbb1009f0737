"""PNG: keeps the chunks that hold pixels and drops the rest, so that no decoder inflates text, profiles or frames."""

import struct
from collections.abc import Iterator

from services.preprocess.formats import exif
from services.preprocess.formats.header import MAX_PARTS, Format, Header, corrupt, too_many_parts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAME_BYTES = 12  # length, type and checksum around each chunk's data


def declared_size(content: bytes) -> tuple[int, int]:
    """Returns the width and height that the first chunk declares.

    Raises:
        InvalidArgument: the first chunk is not the header.
        struct.error: the content ends inside it.
    """
    kind, width_px, height_px = struct.unpack_from(">4sII", content, len(SIGNATURE) + 4)
    if kind != b"IHDR":
        raise corrupt(Format.PNG)
    return width_px, height_px


def read_header(content: bytes) -> Header:
    """Reads the size and the orientation, and copies the chunks that matter.

    Raises:
        InvalidArgument: the chunks are damaged, cut short or absurdly many.
        struct.error: the content ends inside a field.
    """
    orientation = 1
    kept = [SIGNATURE]
    for kind, start, end in _chunks(content):
        if kind == b"eXIf":
            orientation = exif.orientation(content[start + 8 : end - 4])
        elif kind[:1].isupper() or kind == b"tRNS":  # a capital marks what a decoder needs
            kept.append(content[start:end])
    width_px, height_px = declared_size(content)
    return Header(Format.PNG, width_px, height_px, b"".join(kept), orientation)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields each chunk, the closing IEND included, as (type, start, end)."""
    start = len(SIGNATURE)
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + length + _FRAME_BYTES
        if end > len(content):
            raise corrupt(Format.PNG)
        yield kind, start, end
        if kind == b"IEND":
            return
        start = end
    raise too_many_parts(Format.PNG)
