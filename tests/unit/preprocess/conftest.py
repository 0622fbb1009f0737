"""Small pictures in every format and layout that the service reads."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from servicekit.manifest import Recipe
from services.preprocess.headers import Limits

PHOTOGRAPHS = sorted(path for path in (Path(__file__).parents[2] / "photographs").iterdir() if path.suffix != ".md")


@pytest.fixture(params=PHOTOGRAPHS, ids=lambda path: path.stem)
def photograph(request: pytest.FixtureRequest) -> Image.Image:
    """One real photograph, RGB."""
    return Image.open(request.param).convert("RGB")


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """The default model's recipe."""
    return Recipe(width=224, height=224, crop=0.875)


@pytest.fixture(scope="session")
def whole() -> Recipe:
    """A recipe that keeps everything of a 32 x 24 picture, and resizes nothing."""
    return Recipe(width=32, height=24, crop=1)


@pytest.fixture(scope="session")
def limits() -> Limits:
    """The defaults."""
    return Limits()


@pytest.fixture(scope="session")
def pictures() -> dict[str, bytes]:
    """A 32 x 24 picture in every format, mode and variant that is read."""
    color = Image.linear_gradient("L").resize((32, 24)).convert("RGB")
    color.putpixel((3, 2), (250, 10, 20))
    grey, indexed = color.convert("L"), color.quantize(16)
    translucent = color.copy()
    translucent.putalpha(grey)
    exif = Image.Exif()
    exif[0x0112] = 6
    side = exif.tobytes()
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    more = [color.rotate(90)]
    return {
        "jpeg": _encode(color, "JPEG", exif=side),
        "jpeg-progressive": _encode(color, "JPEG", progressive=True),
        "jpeg-grey": _encode(grey, "JPEG"),
        "jpeg-cmyk": _encode(color.convert("CMYK"), "JPEG"),
        "jpeg-restarts": _encode(color, "JPEG", restart_marker_blocks=1),
        "png": _encode(color, "PNG", exif=side),
        "png-alpha": _encode(translucent, "PNG"),
        "png-grey-alpha": _encode(translucent.convert("LA"), "PNG"),
        "png-palette": _encode(indexed, "PNG", transparency=3),
        "png-one-bit": _encode(grey.convert("1"), "PNG"),
        "png-sixteen-bits": _encode(deep, "PNG"),
        "png-animated": _encode(color, "PNG", save_all=True, append_images=more),
        "webp": _encode(color, "WEBP", exif=side),
        "webp-plain": _encode(color, "WEBP"),
        "webp-lossless": _encode(color, "WEBP", lossless=True),
        "webp-alpha": _encode(translucent, "WEBP"),
        "webp-animated": _encode(color, "WEBP", save_all=True, append_images=more),
        "gif": _encode(indexed, "GIF"),
        "gif-transparent": _encode(indexed, "GIF", transparency=2, comment=b"hello"),
        "gif-animated": _encode(color, "GIF", save_all=True, append_images=more),
        "bmp": _encode(color, "BMP"),
        "bmp-palette": _encode(indexed, "BMP"),
        "bmp-one-bit": _encode(grey.convert("1"), "BMP"),
    }


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
