"""Small image sources for tests of data sets."""

import gzip
import json
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, side_px: int = 24) -> bytes:
    """Returns a PNG of smooth noise; other seeds look clearly different."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return encoded(Image.fromarray(coarse).resize((side_px, side_px), Image.Resampling.BICUBIC))


def encoded(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    """Encodes a picture."""
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def image_folder(folder: Path, counts: dict[str, int], first: int = 0) -> Path:
    """Writes a folder for each label (`train/cat` or `cat`) with so many different pictures."""
    seed = first
    for name, count in counts.items():
        place = folder / name
        place.mkdir(parents=True)
        for index in range(count):
            (place / f"{index:04}.png").write_bytes(picture(seed))
            seed += 1
    return folder


def write_idx(folder: Path, count: int, split: str = "train", *, zipped: bool = True) -> Path:
    """Writes IDX files of grey 6 x 5 pictures with the labels 0, 1, 2, 0, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(count).integers(0, 256, (count, 6, 5), dtype=np.uint8)
    images = struct.pack(">HBBIII", 0, 8, 3, count, 6, 5) + pixels.tobytes()
    labels = struct.pack(">HBBI", 0, 8, 1, count) + bytes(index % 3 for index in range(count))
    for name, content in ((f"{split}-images-idx3-ubyte", images), (f"{split}-labels-idx1-ubyte", labels)):
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def json_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    """Writes an object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
