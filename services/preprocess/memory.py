"""A budget of memory that all decoding threads share: a few bytes can hold a picture that needs a gigabyte."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from servicekit.manifest import Recipe
from services.preprocess.formats.header import Format, Header
from services.preprocess.headers import Limits, read_header
from services.preprocess.transforms import OVERSAMPLING, Decoded, header_to_array

_BYTES_PER_PIXEL = {Format.JPEG: 6, Format.PNG: 13, Format.WEBP: 20, Format.GIF: 8, Format.BMP: 8}
"""Peak while decoding a 50-megapixel picture of the costliest kind: `python benchmarks/decode_memory.py`."""


def decode_bytes(header: Header) -> int:
    """Returns how much memory decoding an image may take."""
    return header.width_px * header.height_px * _BYTES_PER_PIXEL[header.format]


class MemoryBudget:
    """Lets threads go on as long as what they need together fits; the others wait, in their order."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._used = 0
        self._turn = threading.Lock()
        self._freed = threading.Condition()

    @contextmanager
    def reserve(self, needed_bytes: int) -> Iterator[None]:
        """Holds a share while the context is open; what exceeds the whole budget waits for all of it."""
        share = min(needed_bytes, self._capacity)
        with self._turn, self._freed:  # one at a time, so that small pictures never overtake a large one for ever
            self._freed.wait_for(lambda: self._used + share <= self._capacity)
            self._used += share
        try:
            yield
        finally:
            with self._freed:
                self._used -= share
                self._freed.notify_all()


def decode_within(
    budget: MemoryBudget, content: bytes, recipe: Recipe, limits: Limits, oversampling: float = OVERSAMPLING
) -> Decoded:
    """Does what `image_to_array` does, waiting between header and decoding until there is memory for it.

    Raises:
        InvalidArgument: as `image_to_array`.
    """
    header = read_header(content, limits)
    with budget.reserve(decode_bytes(header)):
        return header_to_array(header, recipe, oversampling)
