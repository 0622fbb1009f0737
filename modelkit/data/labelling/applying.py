"""Makes a version of a data set of what people said: other labels, the same images in the same splits."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelkit.data.deriving import Parameters, derive
from modelkit.data.records import DataError, Record, Row, Split, Track, untracked
from modelkit.data.store import Dataset


@dataclass(frozen=True, slots=True)
class Applied:
    """Is what became of the labels."""

    dataset: Dataset
    """The new version; the same one where nothing changed."""
    changed: int
    """Images with another label than before."""
    unknown: int
    """Labels for images that the version does not have."""


def apply_labels(dataset: Dataset, labels: Mapping[str, str], track: Track = untracked) -> Applied:
    """Makes the version; started again after it was killed, it goes on.

    Args:
        dataset: the version to start from, which stays as it is.
        labels: name of the label by id of the image.
        track: shows how far it is.

    Raises:
        DataError: a label is none of the data set's, or no image is.
    """
    chosen = _indices(dataset, labels)
    rows = list(dataset.rows())
    known = {row.id for row in rows} & chosen.keys()
    if not known:
        raise DataError(f"none of the {len(labels)} labelled images is in {dataset.folder}")
    changed = sum(_differs(row, chosen) for row in rows)

    def change(_: int, record: Record, split: Split) -> tuple[Record, Split]:
        return replace(record, label=chosen.get(record.id, record.label)), split

    unknown = len(chosen) - len(known)
    if not changed:
        return Applied(dataset, 0, unknown)
    digest = hashlib.sha256(json.dumps(sorted(chosen.items())).encode()).hexdigest()
    parameters: Parameters = {"labels": len(known), "changed": changed, "labels_sha256": digest}
    return Applied(derive(dataset, "label", parameters, change, track), changed, unknown)


def _differs(row: Row, chosen: Mapping[str, int]) -> bool:
    return chosen.get(row.id, row.label) != row.label


def _indices(dataset: Dataset, labels: Mapping[str, str]) -> dict[str, int]:
    indices = {name: index for index, name in enumerate(dataset.labels)}
    for image, name in labels.items():
        if name not in indices:
            told = ", ".join(dataset.labels[:10]) or "none: `data import --labels FILE` gives them names"
            raise DataError(f"image {image[:12]}: label {name!r} is none of the {len(indices)} labels: {told}")
    return {image: indices[name] for image, name in labels.items()}
