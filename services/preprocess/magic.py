"""Which format the first bytes name, and a helpful word about the ones that are refused."""

import re

from services.preprocess.formats import png
from services.preprocess.formats.header import Format, unsupported

_READ = (
    (re.compile(rb"\xff\xd8\xff"), Format.JPEG),
    (re.compile(re.escape(png.SIGNATURE)), Format.PNG),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), Format.WEBP),
    (re.compile(rb"GIF8[79]a"), Format.GIF),
    (re.compile(rb"BM"), Format.BMP),
)

_REFUSED = (
    (re.compile(rb"\s*<(?:[\s\S]*<)?svg"), "SVG, a vector format: rasterise it first"),
    (
        re.compile(rb"\s*<(!doctype html|html|head|body)", re.IGNORECASE),
        "an HTML page: fetch the image itself",
    ),
    (re.compile(rb"%PDF"), "PDF: render a page to PNG first"),
    (re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"), "PostScript, a vector format: rasterise it first"),
    (re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"), "TIFF or a camera's raw file: convert it to PNG or JPEG first"),
    (re.compile(rb"....ftyp(avif|avis)", re.DOTALL), "AVIF: convert it to WebP or JPEG first"),
    (re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL), "HEIC: convert it to JPEG first"),
    (re.compile(rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI ", re.DOTALL), "a video: send one frame of it as an image"),
    (re.compile(rb"\x00\x00[\x01\x02]\x00"), "an icon: convert it to PNG first"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000: convert it to JPEG first"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL: convert it to JPEG first"),
    (re.compile(rb"8BPS"), "a Photoshop document: export it as PNG first"),
    (re.compile(rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!"), "an archive: send the images one by one"),
    (re.compile(rb"data:image/|/9j/|iVBORw0KGgo|UklGR|R0lGOD"), "base64 text: decode it first"),
)
_HEAD_BYTES = 512


def sniff(content: bytes) -> Format:
    """Returns the format that the first bytes name; the name or type that the caller declares is never trusted.

    Raises:
        InvalidArgument: the format is not on the list.
    """
    head = content[:_HEAD_BYTES]
    found = next((kind for pattern, kind in _READ if pattern.match(head)), None)
    if found is None:
        raise unsupported(f"Triptych reads JPEG, PNG, WebP, GIF and BMP; {_likeness(head)}.")
    return found


def _likeness(head: bytes) -> str:
    described = next((words for pattern, words in _REFUSED if pattern.match(head)), None)
    return f"this looks like {described}" if described else "the first bytes of this image name none of them"
