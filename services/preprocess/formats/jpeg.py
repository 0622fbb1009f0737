"""JPEG: walks the segments, then decodes with libjpeg-turbo, scaled down inside the inverse cosine transform."""

import math
import re
import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import simplejpeg

from servicekit.errors import InvalidArgument
from services.preprocess.formats import exif
from services.preprocess.formats.header import MAX_PARTS, Format, Header, corrupt, too_many_parts, unsupported

# Within entropy-coded data 0x00 (a stuffed byte) or a restart marker follows 0xFF, so this finds real markers only.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
_SOF_BASELINE, _SOF_EXTENDED, _SOF_PROGRESSIVE = 0xC0, 0xC1, 0xC2
# Lossless, hierarchical and arithmetic.
_SOF_OTHERS = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_EOI, _SOS, _APP1 = 0xD9, 0xDA, 0xE1
_FACTORS = (8, 4, 2)  # the powers of two have SIMD transforms; 3/8, 5/8 ... are slower than decoding more pixels

# Cameras and phones write these, and the pixels are all there; libjpeg counts them as warnings like any other.
_FORGIVEN = ("extraneous bytes before marker", "Invalid SOS parameters for sequential JPEG")


def read_header(content: bytes) -> Header:
    """Reads the size, orientation and number of scans.

    A baseline picture costs a few segments. Only where more scans can follow is the whole file searched for markers:
    libjpeg decodes them all before it yields a pixel.

    Raises:
        InvalidArgument: the segments are damaged, or the variant is one that Triptych does not read.
        struct.error: the content ends inside a field.
    """
    frame: tuple[int, int, int, int] | None = None
    orientation, scans, progressive = 1, 0, False
    for marker, start, end in _segments(content):
        if marker in (_SOF_BASELINE, _SOF_EXTENDED, _SOF_PROGRESSIVE):
            frame = struct.unpack_from(">BHHB", content, start)
            progressive = marker == _SOF_PROGRESSIVE
        elif marker in _SOF_OTHERS:
            raise _unsupported_variant()
        elif marker == _APP1 and content.startswith(b"Exif\0\0", start):
            orientation = exif.orientation(content[start:end])
        elif marker == _SOS and frame is not None:
            scans += 1
            if not progressive and content[start] == frame[3]:
                break  # one scan holds every component: nothing may follow it
    if frame is None or not scans:
        raise corrupt(Format.JPEG)
    precision, height_px, width_px, _ = frame
    if precision != 8:
        raise _unsupported_variant()
    return Header(Format.JPEG, width_px, height_px, content, orientation, scans)


def decode(header: Header, shrink: float) -> tuple[npt.NDArray[np.uint8], int]:
    """Decodes a JPEG at 1, 1/2, 1/4 or 1/8 of its size, whichever is the smallest that is not below 1 / shrink.

    Returns:
        The pixels, RGB, [ceil(height / factor), ceil(width / factor), 3], and the factor.

    Raises:
        InvalidArgument: the picture is damaged or cut short; libjpeg would fill the rest with grey.
    """
    factor = next((factor for factor in _FACTORS if factor <= shrink), 1)
    height_px, width_px = math.ceil(header.height_px / factor), math.ceil(header.width_px / factor)
    try:
        pixels = _decode_strictly(header.body, height_px, width_px)
    except ValueError as error:
        raise corrupt(Format.JPEG) from error
    if pixels.shape != (height_px, width_px, 3):
        raise corrupt(Format.JPEG)
    return pixels, factor


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields each segment up to the end of the image as (marker, start, end) of its payload."""
    at = 2
    for _ in range(MAX_PARTS):
        found = _MARKER.search(content, at)
        if found is None:
            raise corrupt(Format.JPEG)
        if content[found.start(1)] == _EOI:
            return
        (size,) = struct.unpack_from(">H", content, found.end())
        start, at = found.end() + 2, found.end() + size
        if at < start or at > len(content):
            raise corrupt(Format.JPEG)
        yield content[found.start(1)], start, at
    raise too_many_parts(Format.JPEG)


def _decode_strictly(content: bytes, height_px: int, width_px: int) -> npt.NDArray[np.uint8]:
    try:
        return _decode(content, height_px, width_px, strict=True)
    except ValueError as error:
        if not any(warning in str(error) for warning in _FORGIVEN):
            raise
    return _decode(content, height_px, width_px, strict=False)


def _decode(content: bytes, height_px: int, width_px: int, *, strict: bool) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(
        content, "RGB", min_height=height_px, min_width=width_px, strict=strict
    )
    return pixels


def _unsupported_variant() -> InvalidArgument:
    return unsupported("Triptych reads baseline and progressive JPEG with 8 bits per sample; re-encode this variant.")
