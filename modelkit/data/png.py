"""Writes raw pixels as PNG, the same bytes on every machine.

The pixels are stored, not compressed: a deflate library's choices would show in an image's id. Shards are compressed.
"""

import struct
import zlib

import numpy as np
import numpy.typing as npt

_BLOCK = 0xFFFF
"""Bytes of a stored deflate block, at most."""
_COLOUR_TYPES = {1: 0, 3: 2}
"""PNG's numbers for grey and RGB."""


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encodes pixels, `[height, width]` or `[height, width, 3]`."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[rows.shape[1] // width], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", _stored(filtered)) + _chunk(b"IEND", b"")


def _stored(data: bytes) -> bytes:
    blocks = [data[start : start + _BLOCK] for start in range(0, len(data), _BLOCK)]
    last = len(blocks) - 1
    body = b"".join(
        struct.pack("<BHH", index == last, len(block), len(block) ^ 0xFFFF) + block
        for index, block in enumerate(blocks)
    )
    return b"\x78\x01" + body + struct.pack(">I", zlib.adler32(data))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
