"""WebP: keeps the canvas and the first frame and drops the rest, so that an animation costs no more than a picture."""

import struct
from collections.abc import Iterator

from services.preprocess.formats import exif
from services.preprocess.formats.header import MAX_PARTS, Format, Header, corrupt, too_many_parts

_FIRST_CHUNK = 12  # after RIFF, the size and WEBP
_FRAME = b"ANMF"
_KEPT = frozenset({b"VP8X", b"VP8L", b"VP8 ", b"ALPH", b"ANIM"})


def declared_size(content: bytes) -> tuple[int, int]:
    """Returns the width and height that the first chunk declares.

    Raises:
        InvalidArgument: the first chunk declares none.
        struct.error: the content ends inside it.
    """
    return _size(content[_FIRST_CHUNK : _FIRST_CHUNK + 32])


def read_header(content: bytes) -> Header:
    """Reads the size and the orientation, and copies the chunks that matter.

    Raises:
        InvalidArgument: the chunks are damaged, cut short or absurdly many.
        struct.error: the content ends inside a field.
    """
    orientation, frames = 1, 0
    kept = []
    for kind, start, end in _chunks(content):
        frames += kind == _FRAME
        if kind == b"EXIF":
            orientation = exif.orientation(content[start + 8 : end])
        elif kind in _KEPT or (kind == _FRAME and frames == 1):
            kept.append(content[start:end] + b"\0" * (end - start & 1))
    chunks = b"".join(kept)
    width_px, height_px = _size(chunks)
    body = struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WEBP") + chunks
    return Header(Format.WEBP, width_px, height_px, body, orientation)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields each chunk as (type, start, end), without the padding to an even length."""
    start, stop = _FIRST_CHUNK, 8 + struct.unpack_from("<I", content, 4)[0]
    for _ in range(MAX_PARTS):
        kind, size = struct.unpack_from("<4sI", content, start)
        end = start + 8 + size
        if end > stop or stop > len(content):
            raise corrupt(Format.WEBP)
        yield kind, start, end
        start = end + size % 2
        if start >= stop:
            return
    raise too_many_parts(Format.WEBP)


def _size(chunks: bytes) -> tuple[int, int]:
    """Returns the width and height that the first chunk declares."""
    if chunks.startswith(b"VP8X"):
        width_low, width_high, height_low, height_high = struct.unpack_from("<HBHB", chunks, 12)
        return (width_high << 16 | width_low) + 1, (height_high << 16 | height_low) + 1
    if chunks.startswith(b"VP8L"):
        (bits,) = struct.unpack_from("<I", chunks, 9)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunks.startswith(b"VP8 "):
        width_px, height_px = struct.unpack_from("<HH", chunks, 14)
        return width_px & 0x3FFF, height_px & 0x3FFF
    raise corrupt(Format.WEBP)
