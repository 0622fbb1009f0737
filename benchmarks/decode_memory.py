"""Measures the memory that decoding takes, in bytes per pixel, for each format at its costliest, and prints it.

Each picture is decoded in a process of its own, whose peak is compared with its size just before.
"""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from servicekit.manifest import Recipe
from services.preprocess.headers import Limits
from services.preprocess.transforms import image_to_array

SIDE_PX = 7_000
PIXELS = SIDE_PX * SIDE_PX
KINDS = {
    "JPEG": ("RGB", {"quality": 90, "progressive": True, "subsampling": 0}),
    "PNG": ("RGBA", {}),
    "WebP": ("RGBA", {"lossless": True, "method": 0}),
    "GIF": ("P", {}),
    "BMP": ("RGB", {}),
}


def encoded(kind: str) -> bytes:
    """Returns a picture of one kind, flat so that making it takes no time."""
    mode, options = KINDS[kind]
    file = io.BytesIO()
    Image.new(mode, (SIDE_PX, SIDE_PX), 1 if mode == "P" else tuple([120] * len(mode))).save(file, kind, **options)
    return file.getvalue()


def peak_bytes() -> int:
    """Returns the largest size that this program has had; rusage would count its parent's in."""
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def main() -> int:
    """Measures every kind in a child, or, in the child, one."""
    if len(sys.argv) > 1:
        content = sys.stdin.buffer.read()
        recipe = Recipe(width=224, height=224, crop=0.875)
        warm = io.BytesIO()
        Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(warm, sys.argv[1])
        limits = Limits(max_bytes=2**30)
        image_to_array(warm.getvalue(), recipe, limits)
        before = peak_bytes()
        image_to_array(content, recipe, limits)
        sys.stdout.write(f"{sys.argv[1]:<5} {(peak_bytes() - before) / PIXELS:5.1f} bytes per pixel\n")
        return 0
    for kind in KINDS:
        subprocess.run([sys.executable, __file__, kind], input=encoded(kind), check=True)  # noqa: S603 (ourselves)
    return 0


if __name__ == "__main__":
    sys.exit(main())
