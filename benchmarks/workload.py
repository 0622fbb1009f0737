"""What every benchmark sends: three photographs as JPEGs of 512 x 512 pixels and about 75 kB."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
SIDE_PX = 512
_QUALITY = {"astronaut.png": 92, "chelsea.png": 94, "coffee.png": 93}


@dataclass(frozen=True, slots=True)
class Picture:
    """Is one encoded photograph."""

    name: str
    content: bytes


def pictures() -> list[Picture]:
    """Returns the photographs, cut to squares and encoded: the same bytes at every call."""
    return [Picture(name, _encode(ROOT / "tests" / "photographs" / name, q)) for name, q in _QUALITY.items()]


def _encode(path: Path, quality: int) -> bytes:
    with Image.open(path) as image:
        photograph = image.convert("RGB")
    side = min(photograph.size)
    left, top = (photograph.width - side) // 2, (photograph.height - side) // 2
    square = photograph.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    encoded = BytesIO()
    square.save(encoded, "JPEG", quality=quality)
    return encoded.getvalue()
