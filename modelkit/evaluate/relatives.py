"""The runs that a run was made of, so that they can be compared with it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modelkit.evaluate.subject import Subject, read_run, read_subject
from modelkit.gate import GateError
from modelkit.publish import MODEL_FILE
from modelkit.release.candidate import LINEAGE_FILE
from modelkit.train.run import sha256

_WEIGHTS = ("model.safetensors", MODEL_FILE)
LeftOut = dict[str, str]
"""Reasons by name."""


def ancestors(folder: Path) -> list[Path]:
    """Lists the runs beside this one that it was made of, the nearest first: weights, teacher, and theirs in turn.

    A run that was made anew under the name since is none.
    """
    lineage = json.loads((folder / LINEAGE_FILE).read_bytes())
    return list(dict.fromkeys(_walk(folder.resolve().parent, lineage)))


def _walk(runs: Path, lineage: dict[str, Any]) -> Iterator[Path]:
    parents = list(lineage.get("parents", {}).values())
    for parent in parents:
        place = runs / str(parent.get("run"))
        if any((place / file).exists() and sha256(place / file) == parent.get("model_sha256") for file in _WEIGHTS):
            yield place
    for parent in parents:
        yield from _walk(runs, parent.get("lineage") or {})


def comparable(subject: Subject, names: Sequence[str], repository: Path) -> tuple[list[Subject], LeftOut]:
    """Reads the models that are compared with one, and says why others are left out.

    Args:
        subject: the model that is evaluated.
        names: as in `read_subject`; what the user named must be there.
        repository: of published models.

    Raises:
        GateError, ManifestError, PublishError: as `read_subject`.
    """
    return _sorted_out(subject, [read_subject(name, repository) for name in names], {})


def relatives(subject: Subject, folder: Path) -> tuple[list[Subject], LeftOut]:
    """Reads the ancestors of a run that can be compared with it, and says why others are left out."""
    found, left_out = [], {}
    for place in ancestors(folder):
        try:
            found.append(read_run(place))
        except GateError as error:
            left_out[place.name] = str(error)
    return _sorted_out(subject, found, left_out)


def _sorted_out(subject: Subject, found: Sequence[Subject], left_out: LeftOut) -> tuple[list[Subject], LeftOut]:
    kept: list[Subject] = []
    for each in found:
        if each.labels != subject.labels:
            left_out[each.name] = "it has other labels"
        elif each.recipe != subject.recipe:
            left_out[each.name] = "it takes other pictures"
        elif each.name in {subject.name, *(other.name for other in kept)}:
            left_out[f"another {each.name}"] = "it has the same name"
        else:
            kept.append(each)
    return kept, left_out
