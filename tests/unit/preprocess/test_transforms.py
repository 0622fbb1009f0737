"""Pixels: every format, layout and orientation, and the parity of the fast path with the reference."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from counters.calls import calls_made
from PIL import Image, ImageOps

from servicekit.errors import InvalidArgument, Reason
from servicekit.manifest import Recipe
from services.preprocess.headers import Limits
from services.preprocess.reference import reference_array
from services.preprocess.transforms import image_to_array


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """Returns the encoded picture."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(content: bytes, recipe: Recipe) -> npt.NDArray[np.int16]:
    """Returns the fast path's pixels, signed so that they can be subtracted."""
    return image_to_array(content, recipe, Limits()).pixels.astype(np.int16)


def reason(content: bytes, recipe: Recipe) -> Reason:
    """Returns why the image is refused."""
    with pytest.raises(InvalidArgument) as refusal:
        image_to_array(content, recipe, Limits())
    assert "Error" not in refusal.value.message
    return refusal.value.reason


def test_shape(pictures: dict[str, bytes], limits: Limits) -> None:
    """Every picture becomes uint8 RGB of the recipe's size, and says what it was."""
    for name, content in pictures.items():
        decoded = image_to_array(content, Recipe(width=20, height=10, crop=0.9), limits)
        assert decoded.pixels.shape == (10, 20, 3)
        assert np.uint8 == decoded.pixels.dtype
        assert ((24, 32) if name in ("jpeg", "png", "webp") else (32, 24)) == (decoded.width_px, decoded.height_px)


def test_same_as_reference(pictures: dict[str, bytes], recipe: Recipe) -> None:
    """Small pictures of every kind agree with the reference within two levels (JPEGs are resized otherwise)."""
    for name, content in pictures.items():
        difference = np.abs(pixels(content, recipe) - reference_array(content, recipe))
        assert difference.max() <= 2, name


@pytest.mark.parametrize("short_side_px", [200, 512, 1080])
@pytest.mark.parametrize("quality", [60, 92])
def test_parity(photograph: Image.Image, short_side_px: int, quality: int, recipe: Recipe) -> None:
    """Scaled JPEG decoding stays within 12 levels of the reference anywhere, and 0.5 on average."""
    photograph = ImageOps.scale(photograph, short_side_px / min(photograph.size))
    content = encode(photograph, "JPEG", quality=quality)
    difference = np.abs(pixels(content, recipe) - reference_array(content, recipe))
    assert difference.max() <= 12
    assert difference.mean() <= 0.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(90, 60), (60, 90), (900, 600)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(kind: str, size: tuple[int, int], orientation: int) -> None:
    """All eight orientations come out upright, with the crop and the size of the upright picture."""
    image = Image.radial_gradient("L").resize(size).convert("RGB")
    image.paste((200, 30, 30), (0, 0, size[0] // 3, size[1] // 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(image, kind, exif=exif.tobytes())
    recipe = Recipe(width=40, height=30, crop=0.9)
    difference = np.abs(pixels(content, recipe) - reference_array(content, recipe))
    assert difference.max() <= 8
    decoded = image_to_array(content, recipe, Limits())
    assert (size if orientation < 5 else size[::-1]) == (decoded.width_px, decoded.height_px)


def test_sixteen_bits(whole: Recipe) -> None:
    """16-bit grey is scaled to 8 bits, not clipped."""
    content = encode(Image.fromarray(np.full((24, 32), 0x80FF, np.uint16)), "PNG")
    assert {0x80} == set(pixels(content, whole).flat)


def test_sixteen_bit_transparent_color() -> None:
    """The transparent colour of 16-bit grey shows white."""
    grey = Image.fromarray(np.array([[0x1234, 0x8000]], np.uint16))
    content = encode(grey, "PNG", transparency=0x1234)
    assert pixels(content, Recipe(width=2, height=1, crop=1))[0, :, 0].tolist() == [255, 128]


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparency_shows_white(mode: str, whole: Recipe) -> None:
    """A transparent black picture is white."""
    content = encode(Image.new("RGBA", (32, 24), (0, 0, 0, 0)).convert(mode), "PNG")
    assert {255} == set(pixels(content, whole).flat)


def test_half_transparent(whole: Recipe) -> None:
    """Half-transparent black over white is middle grey."""
    content = encode(Image.new("RGBA", (32, 24), (0, 0, 0, 128)), "PNG")
    assert {127} == set(pixels(content, whole).flat)


@pytest.mark.parametrize("color", [(200, 30, 30), (10, 120, 240), (255, 255, 255), (0, 0, 0)])
def test_cmyk(color: tuple[int, int, int], whole: Recipe) -> None:
    """CMYK as Adobe writes it, inverted, keeps its colours."""
    content = encode(Image.new("RGB", (32, 24), color).convert("CMYK"), "JPEG", quality=100)
    assert np.abs(pixels(content, whole) - color).max() <= 3


def test_ycck(whole: Recipe) -> None:
    """YCCK, which Photoshop prefers for CMYK, keeps its colours."""
    y, cb, cr = Image.new("RGB", (32, 24), (55, 225, 225)).convert("YCbCr").split()  # ink, not light
    planes = [ImageOps.invert(y), ImageOps.invert(cb), ImageOps.invert(cr), Image.new("L", (32, 24), 0)]
    content = bytearray(encode(Image.merge("CMYK", planes), "JPEG", quality=100))
    content[content.index(b"Adobe") + 11] = 2  # the planes are YCCK, says the Adobe marker
    assert np.abs(pixels(bytes(content), whole) - reference_array(bytes(content), whole)).max() <= 1
    assert np.abs(pixels(bytes(content), whole) - (200, 30, 30)).max() <= 6


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame(kind: str, whole: Recipe) -> None:
    """Only the first frame of an animation counts."""
    red, blue = Image.new("RGB", (32, 24), (255, 0, 0)), Image.new("RGB", (32, 24), (0, 0, 255))
    content = encode(red, kind, save_all=True, append_images=[blue] * 3)
    assert np.abs(pixels(content, whole)[0, 0] - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("kind", [b"ANMF", b","], ids=["WebP", "GIF"])
def test_ten_thousand_frames(kind: bytes, pictures: dict[str, bytes], whole: Recipe) -> None:
    """An animation of ten thousand frames costs a glance at each, and the decoding of the first one."""
    content = pictures["webp-animated" if kind == b"ANMF" else "gif-animated"]
    last = content.rfind(kind) if kind == b"ANMF" else content.rfind(b"!\xf9")
    frames = content[:last] + content[last:].rstrip(b";") * 10_000
    if kind == b"ANMF":
        frames = b"RIFF" + (len(frames) - 8).to_bytes(4, "little") + frames[8:]
    first = pixels(content, whole)
    with calls_made() as counted:
        assert np.array_equal(first, pixels(frames, whole))
    assert 0 < len(counted) < 5 * 10_000


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 20_000)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_extreme_shapes(size: tuple[int, int], kind: str, recipe: Recipe) -> None:
    """Lines and single pixels are enlarged like anything else."""
    assert {77} == set(pixels(encode(Image.new("RGB", size, (77, 77, 77)), kind), recipe).flat)


CUTS = ["jpeg", "jpeg-progressive", "jpeg-grey", "png", "png-palette", "webp", "webp-lossless", "gif", "bmp"]


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_cut_short(name: str, share: float, pictures: dict[str, bytes], recipe: Recipe) -> None:
    """A picture cut short in transfer is refused, not filled with grey."""
    content = pictures[name]
    assert reason(content[: int(len(content) * share)], recipe) == Reason.IMAGE_CORRUPT


def test_cut_short_and_closed(photograph: Image.Image, recipe: Recipe) -> None:
    """A JPEG whose missing half is hidden behind an end marker is refused too."""
    content = encode(photograph, "JPEG")
    assert reason(content[: len(content) // 2] + b"\xff\xd9", recipe) == Reason.IMAGE_CORRUPT


def test_harmless_garbage(pictures: dict[str, bytes], whole: Recipe) -> None:
    """What cameras leave between and behind the parts of a JPEG spoils nothing."""
    content = pictures["jpeg-progressive"]
    last = content.rfind(b"\xff\xda")
    littered = content[:last] + b"abc" + content[last:] + b"trailer"
    assert np.array_equal(pixels(content, whole), pixels(littered, whole))


def test_trailing_bytes(pictures: dict[str, bytes], whole: Recipe) -> None:
    """Bytes behind the end of any format are ignored."""
    for content in pictures.values():
        assert np.array_equal(pixels(content, whole), pixels(content + b"trailer", whole))


def test_thread_safe(pictures: dict[str, bytes], recipe: Recipe) -> None:
    """A thread pool gets the same pixels as a single thread."""
    contents = list(pictures.values()) * 10

    def decode(content: bytes) -> bytes:
        return pixels(content, recipe).tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert [decode(content) for content in contents] == list(pool.map(decode, contents))
