"""What the header alone decides, and how little it costs."""

import contextlib
import io
import resource
import struct
import zlib
from collections.abc import Callable

import pytest
from counters.calls import calls_made
from PIL import Image

from servicekit.errors import InvalidArgument, Reason
from services.preprocess.formats import exif
from services.preprocess.formats.header import MAX_PARTS
from services.preprocess.headers import Limits, read_header

REFUSED = {
    b"<svg xmlns='http://www.w3.org/2000/svg'/>": "SVG",
    b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg/>": "SVG",
    b"<!DOCTYPE html><html></html>": "an HTML page",
    b"%PDF-1.7": "PDF",
    b"%!PS-Adobe-3.0 EPSF-3.0": "PostScript",
    b"II*\0\x08\0\0\0": "TIFF",
    b"\0\0\0\x1cftypavif\0\0\0\0": "AVIF",
    b"\0\0\0\x18ftypheic\0\0\0\0": "HEIC",
    b"\0\0\0\x18ftypmp42\0\0\0\0": "a video",
    b"\0\0\x01\0\x01\0": "an icon",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x0a\xfa\x1f": "JPEG XL",
    b"8BPS\0\x01": "a Photoshop document",
    b"PK\x03\x04": "an archive",
    b"data:image/jpeg;base64,/9j/4AAQ": "base64 text",
    b"iVBORw0KGgo": "base64 text",
    b"hello": "name none of them",
    b"\0": "name none of them",
}


def chunk(kind: bytes, data: bytes) -> bytes:
    """Returns one PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width_px: int, height_px: int, extra: bytes = b"") -> bytes:
    """Returns a black grey PNG with `extra` chunks; one over 1 MP has no pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width_px, height_px, 8, 0, 0, 0, 0))
    rows = bytes((width_px + 1) * height_px) if width_px * height_px < 1_000_000 else b""
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def many_scans(scans: int, side_px: int = 64) -> bytes:
    """Returns a progressive JPEG whose last scan is repeated until there are `scans`."""
    file = io.BytesIO()
    Image.new("L", (side_px, side_px), 128).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rfind(b"\xff\xda")
    have = content.count(b"\xff\xda")
    return content[:-2] + content[last:-2] * (scans - have) + b"\xff\xd9"


def reason(content: bytes, limits: Limits) -> Reason:
    """Returns why the header is refused."""
    with pytest.raises(InvalidArgument) as refusal:
        read_header(content, limits)
    return refusal.value.reason


@pytest.mark.parametrize(("content", "words"), REFUSED.items(), ids=REFUSED.values())
def test_foreign_formats(content: bytes, words: str, limits: Limits) -> None:
    """A format that is not on the list is refused by its first bytes, with a word on what it is."""
    with pytest.raises(InvalidArgument, match=f"Triptych reads JPEG, PNG, WebP, GIF and BMP; .*{words}") as refusal:
        read_header(content, limits)
    assert refusal.value.reason == Reason.IMAGE_FORMAT_UNSUPPORTED


def test_empty(limits: Limits) -> None:
    """No bytes at all have a reason of their own."""
    assert reason(b"", limits) == Reason.IMAGE_EMPTY


def test_bytes() -> None:
    """One byte over the limit is too large; the limit itself is not."""
    content = png(8, 8)
    read_header(content, Limits(max_bytes=len(content)))
    assert reason(content, Limits(max_bytes=len(content) - 1)) == Reason.IMAGE_TOO_LARGE


def test_every_format(pictures: dict[str, bytes], limits: Limits) -> None:
    """Every variant of every format tells its size, with the declared name ignored."""
    for name, content in pictures.items():
        header = read_header(content, limits)
        assert (header.width_px, header.height_px) == (32, 24), name
        assert header.format.lower() == name.split("-")[0]


def test_orientation(pictures: dict[str, bytes], limits: Limits) -> None:
    """JPEG, PNG and WebP say which way is up; the others are upright."""
    turned = {name for name, content in pictures.items() if read_header(content, limits).orientation == 6}
    assert {"jpeg", "png", "webp"} == turned


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0\xff\xff\xff\xff", b"junk" * 9])
def test_damaged_exif(block: bytes) -> None:
    """Damaged metadata leaves the picture as it is."""
    assert exif.orientation(block) == 1


def test_limits_name_the_numbers() -> None:
    """The refusal names the picture's size and both limits."""
    with pytest.raises(InvalidArgument, match=r"300 x 200 pixels; the limits are 50000 pixels in all and 250 per side"):
        read_header(png(300, 200), Limits(max_pixels=50_000, max_side_px=250))


@pytest.mark.parametrize(("width_px", "height_px"), [(20_001, 1), (1, 20_001), (10_000, 5_001), (2**31, 2**31)])
def test_dimensions(width_px: int, height_px: int, limits: Limits) -> None:
    """Too many pixels and too long a side are refused, whatever the other side is."""
    assert reason(png(width_px, height_px), limits) == Reason.IMAGE_DIMENSIONS_EXCEEDED


def test_zero_dimension(limits: Limits) -> None:
    """A picture without pixels is damaged."""
    assert reason(png(0, 8), limits) == Reason.IMAGE_CORRUPT


def test_frame_beyond_the_screen(limits: Limits) -> None:
    """A GIF frame that reaches beyond its screen counts as what it really costs."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
    content = screen + b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0)
    assert reason(content, limits) == Reason.IMAGE_DIMENSIONS_EXCEEDED


def test_scans(limits: Limits) -> None:
    """A hundred scans pass and the next one does not."""
    assert read_header(many_scans(100), limits).scans == 100
    assert reason(many_scans(101), limits) == Reason.IMAGE_TOO_COMPLEX


def test_scans_of_a_large_picture() -> None:
    """Large pictures get fewer scans, since each one visits every pixel."""
    content = many_scans(40, side_px=100)
    read_header(content, Limits(max_scanned_pixels=400_000))
    assert reason(content, Limits(max_scanned_pixels=399_999)) == Reason.IMAGE_TOO_COMPLEX


def test_trailing_video(pictures: dict[str, bytes], limits: Limits) -> None:
    """What phones append to a photograph is not counted as scans."""
    assert read_header(pictures["jpeg"] + b"\xff\xda\0\x02" * 1000, limits).scans == 1
    assert read_header(pictures["jpeg-progressive"] + b"\xff\xda\0\x02" * 1000, limits).scans < 20


@pytest.mark.parametrize("marker", [b"\xc3", b"\xc9"], ids=["lossless", "arithmetic"])
def test_rare_jpegs(marker: bytes, pictures: dict[str, bytes], limits: Limits) -> None:
    """JPEG variants that no browser shows are refused by name."""
    content = pictures["jpeg"].replace(b"\xff\xc0", b"\xff" + marker)
    assert reason(content, limits) == Reason.IMAGE_FORMAT_UNSUPPORTED


def test_run_lengths(pictures: dict[str, bytes], limits: Limits) -> None:
    """A compressed BMP is refused: expanding it would hold the interpreter's lock."""
    content = bytearray(pictures["bmp-palette"])
    content[30] = 1
    assert reason(bytes(content), limits) == Reason.IMAGE_FORMAT_UNSUPPORTED


def test_oldest_bmp(limits: Limits) -> None:
    """The BMP header of OS/2 has shorter fields."""
    content = b"BM" + struct.pack("<I4xIIHHHH", 26 + 4 * 2, 26, 12, 1, 2, 1, 24) + bytes(8)
    header = read_header(content, limits)
    assert (header.width_px, header.height_px) == (1, 2)


def test_pillow_never_warns() -> None:
    """Limits beyond Pillow's own notion of a bomb are refused at the start, not by a warning per image."""
    with pytest.raises(ValueError, match="max_pixels"):
        Limits(max_pixels=100_000_000)


BOMBS: dict[str, Callable[[], bytes]] = {
    "huge PNG": lambda: png(50_000, 50_000),
    "text chunks": lambda: png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000))) * 1000),
    "colour profile": lambda: png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10_000_000)))),
    "EXIF": lambda: png(8, 8, chunk(b"eXIf", b"MM\0*\0\0\0\x08\xff\xff" + bytes(4_000_000))),
    "chunks": lambda: png(8, 8, chunk(b"tEXt", b"") * 500_000),
    "scans": lambda: many_scans(1000),
    "segments": lambda: b"\xff\xd8" + b"\xff\xfe\0\x02" * 2_000_000,
    "GIF comments": lambda: b"GIF89a" + bytes(7) + b"!\xfe" + b"\x01a" * 4_000_000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bombs_cost_nothing(bomb: Callable[[], bytes], limits: Limits) -> None:
    """Bombs are refused or defused from the header with ten steps for each part that is allowed, and 64 MB."""
    content = bomb()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(InvalidArgument), calls_made() as counted:
        assert len(read_header(content, limits).body) < 200
    assert 0 < len(counted) <= 10 * MAX_PARTS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 64 * 1024


def test_a_huge_size_is_told_before_other_damage() -> None:
    """A PNG that is only a header is refused for the size it declares, not as damaged."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    with pytest.raises(InvalidArgument, match="50000 x 50000") as caught:
        read_header(content, Limits())
    assert Reason.IMAGE_DIMENSIONS_EXCEEDED is caught.value.reason
