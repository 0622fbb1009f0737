"""Finds the pictures that a model is surest and wrong about."""

from collections.abc import Sequence

import numpy as np

from modelkit.data.store import Dataset
from modelkit.evaluate.figures import Labels, Pair
from modelkit.evaluate.pictures import labelled
from modelkit.gate import Logits
from modelkit.release.trial import SPLIT

EXAMPLES = 8
"""Pictures of one confusion."""


def surest_mistakes(
    pairs: Sequence[Pair], answers: Logits, labels: Labels, names: Sequence[str]
) -> list[tuple[str, list[int]]]:
    """Returns, for each confusion, a caption and the places of the pictures whose true class is furthest behind."""
    first = answers.argmax(axis=1)
    margins = answers.max(axis=1) - answers[np.arange(len(labels)), labels]
    rows = []
    for pair in pairs:
        hits = np.flatnonzero((labels == names.index(pair.true)) & (first == names.index(pair.taken_for)))
        caption = f"{pair.true}, taken for {pair.taken_for}: {pair.pictures}"
        rows.append((caption, hits[np.argsort(-margins[hits], kind="stable")][:EXAMPLES].tolist()))
    return rows


def pictures_at(dataset: Dataset, rows: Sequence[tuple[str, list[int]]]) -> list[tuple[str, list[bytes]]]:
    """Returns the encoded pictures in the place of their places among the labelled ones of the test split."""
    wanted = {at for _, places in rows for at in places}
    images = {at: record.image for at, record in enumerate(labelled(dataset, SPLIT)) if at in wanted}
    return [(caption, [images[at] for at in places]) for caption, places in rows]
