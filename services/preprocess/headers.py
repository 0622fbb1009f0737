"""Decides from the header alone whether an image may be decoded: no decoder runs before `read_header` has agreed."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from servicekit.errors import InvalidArgument, Reason
from services.preprocess.formats import bmp, gif, jpeg, png, webp
from services.preprocess.formats.header import Format, Header, corrupt, too_complex
from services.preprocess.magic import sniff

_READERS: dict[Format, Callable[[bytes], Header]] = {
    Format.JPEG: jpeg.read_header,
    Format.PNG: png.read_header,
    Format.WEBP: webp.read_header,
    Format.GIF: gif.read_header,
    Format.BMP: bmp.read_header,
}
_SIZES: dict[Format, Callable[[bytes], tuple[int, int]]] = {
    Format.PNG: png.declared_size,
    Format.WEBP: webp.declared_size,
}
"""Formats whose reader visits the whole file: a size that is too large is told before any other damage."""
_PILLOW_WARNS_ABOVE_PIXELS = 89_478_485


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds what one image may cost.

    Raises:
        ValueError: `max_pixels` is above the size that Pillow itself calls a decompression bomb.
    """

    max_bytes: int = 16 * 2**20
    """Encoded."""
    max_pixels: int = 50_000_000
    """Width times height. Decoding takes about 20 bytes for each in WebP, 13 in PNG, 6 in progressive JPEG."""
    max_side_px: int = 20_000
    max_scans: int = 100
    """Of a progressive JPEG; common encoders write about ten."""
    max_scanned_pixels: int = 1_000_000_000
    """Pixels times scans of a progressive JPEG: each scan visits every pixel, however few bytes it has."""

    def __post_init__(self) -> None:
        if self.max_pixels > _PILLOW_WARNS_ABOVE_PIXELS:
            raise ValueError(f"max_pixels is {self.max_pixels}; Pillow takes {_PILLOW_WARNS_ABOVE_PIXELS} at most.")


def read_header(content: bytes, limits: Limits) -> Header:
    """Reads an image's header and refuses what must not reach a decoder.

    Raises:
        InvalidArgument: the image is empty, damaged, of a format that is not read, or over a limit.
    """
    _check_bytes(content, limits)
    kind = sniff(content)
    try:
        if kind in _SIZES:
            _check_dimensions(kind, *_SIZES[kind](content), limits)
        header = _READERS[kind](content)
    except (IndexError, struct.error) as error:  # the content ends inside the header
        raise corrupt(kind) from error
    _check_dimensions(kind, header.width_px, header.height_px, limits)
    _check_scans(header, limits)
    return header


def _check_bytes(content: bytes, limits: Limits) -> None:
    if not content:
        raise InvalidArgument("The image is empty: it has 0 bytes.", reason=Reason.IMAGE_EMPTY)
    if len(content) > limits.max_bytes:
        raise InvalidArgument(
            f"The image has {len(content)} bytes; the limit is {limits.max_bytes}.", reason=Reason.IMAGE_TOO_LARGE
        )


def _check_dimensions(kind: Format, width_px: int, height_px: int, limits: Limits) -> None:
    if width_px < 1 or height_px < 1:
        raise corrupt(kind)
    if width_px * height_px > limits.max_pixels or max(width_px, height_px) > limits.max_side_px:
        raise InvalidArgument(
            f"The image is {width_px} x {height_px} pixels; the limits are {limits.max_pixels} pixels in all and "
            f"{limits.max_side_px} per side.",
            reason=Reason.IMAGE_DIMENSIONS_EXCEEDED,
        )


def _check_scans(header: Header, limits: Limits) -> None:
    if header.scans == 1:
        return
    allowed = min(limits.max_scans, limits.max_scanned_pixels // (header.width_px * header.height_px))
    if header.scans > allowed:
        raise too_complex(f"The JPEG image has {header.scans} scans; the limit at its size is {allowed}. Re-encode it.")
