"""Golden predictions: a few pictures that lie beside a version with its answers, to be asked again anywhere, any time.

They are pictures of which the model is sure, so that another machine's rounding changes no answer.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelkit.data.records import Record
from modelkit.engine import compiled
from modelkit.gate import MAX_FLIPPED_MARGIN, GateError, Logits
from modelkit.release.trial import decode
from servicekit.manifest import Recipe

GOLDEN_FILE = "golden.json"
PICTURES = 8


def choose(answers: Logits) -> list[int]:
    """Returns the rows to keep: sure ones, spread over the whole split."""
    second, first = np.partition(answers.astype(np.float64), -2, axis=1)[:, -2:].T
    sure = np.flatnonzero(first - second > MAX_FLIPPED_MARGIN)
    if not len(sure):
        return []
    return sorted({int(sure[place]) for place in np.linspace(0, len(sure) - 1, PICTURES).astype(int)})


def render(records: Sequence[Record], answers: Logits) -> bytes:
    """Returns the file: each picture as it was sent, and what was answered.

    Args:
        records: the pictures.
        answers: the logits of each.
    """
    pictures = [
        {
            "id": record.id,
            "image": base64.b64encode(record.image).decode(),
            "class": int(row.argmax()),
            "logits": [round(float(value), 4) for value in row],
        }
        for record, row in zip(records, answers, strict=True)
    ]
    return (json.dumps({"pictures": pictures}, indent=1) + "\n").encode()


def check_golden(version: Path, model: bytes, recipe: Recipe) -> int:
    """Asks a published model its golden predictions again; returns how many there are.

    Args:
        version: folder of the version, with the file.
        model: the ONNX file.
        recipe: what it takes.

    Raises:
        GateError: the model answers otherwise on this machine, or the file is damaged.
    """
    file = version / GOLDEN_FILE
    return ask_golden(file.read_bytes(), model, recipe, file) if file.exists() else 0  # imported models have none


def ask_golden(content: bytes, model: bytes, recipe: Recipe, file: Path = Path(GOLDEN_FILE)) -> int:
    """Asks a model golden predictions; returns how many there are.

    Args:
        content: what `render` returned.
        model: the ONNX file.
        recipe: what it takes.
        file: where the content lies.

    Raises:
        GateError: the model answers otherwise, with each such picture and its classes, or the content is damaged.
    """
    try:
        pictures: list[dict[str, Any]] = json.loads(content)["pictures"]
        records = [Record(each["id"], base64.b64decode(each["image"]), each["class"], "") for each in pictures]
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise GateError(f"the golden gate: {file} is damaged: {error}") from error
    if not records:
        return 0
    first = compiled(model)(decode(records, recipe)).argmax(axis=1)
    changed = [
        f"{record.id[:12]} (class {now}, it was {record.label})"
        for record, now in zip(records, first, strict=True)
        if now != record.label
    ]
    if changed:
        raise GateError(
            f"the golden gate: {len(changed)} of {len(records)} golden pictures are answered otherwise here, none may "
            f"be: {', '.join(changed)}"
        )
    return len(records)
