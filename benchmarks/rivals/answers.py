"""What the rivals share beside the bare computation: many pictures at once, and the answer's JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.bare import Bare, Logits, Pixels
from services.postprocess.ranking import Ranked

BATCHES = (8, 4, 2, 1)
"""Sizes that the model is compiled for."""


def classify(bare: Bare, contents: Sequence[bytes]) -> list[list[Ranked]]:
    """Returns the best classes of each picture; `bare` takes all of BATCHES."""
    return bare.rank(infer(bare, np.stack([bare.decode(content) for content in contents])))


def infer(bare: Bare, pixels: Pixels) -> Logits:
    """Infers uint8 `[n, 224, 224, 3]` in as few pieces as BATCHES allow."""
    return np.concatenate([bare.infer(piece) for piece in _pieces(pixels)])


def _pieces(pixels: Pixels) -> Iterator[Pixels]:
    start = 0
    while start < len(pixels):
        size = next(size for size in BATCHES if size <= len(pixels) - start)
        yield pixels[start : start + size]
        start += size


def answer(ranked: list[Ranked]) -> dict[str, Any]:
    """Returns what becomes the answer's JSON."""
    return {"predictions": [{"index": each.index, "score": each.score} for each in ranked]}
