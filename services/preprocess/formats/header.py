"""What every format's header says, and the sentences that refuse an image."""

from dataclasses import dataclass
from enum import StrEnum

from servicekit.errors import InvalidArgument, Reason

MAX_PARTS = 16_384
"""Chunks, blocks or segments that one header may be made of; real files hold at most a few thousand."""


class Format(StrEnum):
    """Names every format that Triptych reads."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    GIF = "GIF"
    BMP = "BMP"


@dataclass(frozen=True, slots=True)
class Header:
    """Is what is known about an image before it is decoded."""

    format: Format
    width_px: int
    """As stored, before the EXIF orientation is applied."""
    height_px: int
    """As stored, before the EXIF orientation is applied."""
    body: bytes
    """The bytes that the decoder needs: for PNG, `content` without metadata and animation."""
    orientation: int = 1
    """EXIF orientation, 1 to 8."""
    scans: int = 1
    """Passes over the whole image: more than one only for progressive or multi-scan JPEG."""

    @property
    def turned(self) -> bool:
        """Whether the upright image is as wide as the stored one is high."""
        return self.orientation >= 5


def corrupt(kind: Format) -> InvalidArgument:
    """Returns the refusal of bytes that do not hold what their format promises."""
    return InvalidArgument(f"The {kind} image is damaged or cut short.", reason=Reason.IMAGE_CORRUPT)


def too_complex(sentence: str) -> InvalidArgument:
    """Returns the refusal of an image that would cost more than any honest one."""
    return InvalidArgument(sentence, reason=Reason.IMAGE_TOO_COMPLEX)


def too_many_parts(kind: Format) -> InvalidArgument:
    """Returns the refusal of a file cut into absurdly many pieces."""
    return too_complex(f"The {kind} image is made of more than {MAX_PARTS} parts; re-encode it.")


def unsupported(sentence: str) -> InvalidArgument:
    """Returns the refusal of a format, or a variant of one, that Triptych does not read."""
    return InvalidArgument(sentence, reason=Reason.IMAGE_FORMAT_UNSUPPORTED)
