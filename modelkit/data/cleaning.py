"""Looks for what is wrong with a data set, tells it in a report, and drops what the user chose, as a new version."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from modelkit.data.cache import NOTHING_KEPT, Cache
from modelkit.data.deriving import derive
from modelkit.data.duplicates import NEAR, near_pairs
from modelkit.data.features import extract
from modelkit.data.findings import Finding, Inspection, Kind, of_features, of_pairs, of_suspects
from modelkit.data.label_errors import agreement, cross_validated, read_probabilities, suspects
from modelkit.data.records import Record, Split, Track, untracked
from modelkit.data.report import IMAGES_SHOWN, render, shown
from modelkit.data.store import Dataset


@dataclass(frozen=True, slots=True)
class Look:
    """Says what to look for, and how closely."""

    near: float | None = NEAR
    """Correlation from which pictures count as nearly equal; None compares none."""
    label_errors: bool = True
    probabilities: Path | None = None
    """File with a model's probabilities; None trains a cheap model on thumbnails."""
    seed: int = 0


def inspect(dataset: Dataset, look: Look, track: Track = untracked, cache: Cache = NOTHING_KEPT) -> Inspection:
    """Finds what is wrong with a data set; the same look at the same version finds the same.

    With a cache, a look that was cut off goes on where it was, and the same look again computes next to nothing.

    Raises:
        DataError: there are too many images to compare, or the file of probabilities is wrong.
    """
    features = extract(dataset, track, cache)
    findings = of_features(features)
    if look.near is not None:
        findings += of_pairs(features, near_pairs(features.thumbnails, look.near, track, cache))
    believed = None
    if look.label_errors:
        ids = [row.id for row in features.rows]
        given = look.probabilities
        beliefs = (
            read_probabilities(given, ids, features.labels, len(dataset.labels))
            if given
            else cross_validated(features, look.seed, track, cache)
        )
        findings += of_suspects(suspects(beliefs, features.labels), dataset.labels)
        believed = agreement(beliefs, features.labels)
    return Inspection(features, findings, believed)


def write_report(path: Path, dataset: Dataset, found: Inspection) -> None:
    """Writes the report, one HTML file that needs no other."""
    wanted = {at for chosen in shown(found.findings).values() for each in chosen for at in each.images[:IMAGES_SHOWN]}
    images = {at: record.image for at, record in enumerate(dataset.records()) if at in wanted}
    title = f"{dataset.manifest.name} {dataset.manifest.version}"
    path.write_text(render(title, found, dataset.labels, images), encoding="utf-8")


def drop(
    dataset: Dataset, look: Look, findings: list[Finding], kinds: Collection[Kind], track: Track = untracked
) -> Dataset:
    """Makes a version without what findings of some kinds drop."""
    gone = {at for each in findings if each.kind in kinds for at in each.drops}

    def change(position: int, record: Record, split: Split) -> tuple[Record, Split] | None:
        return None if position in gone else (record, split)

    chosen = ",".join(sorted(kinds))
    return derive(dataset, "clean", {"drop": chosen, "near": look.near, "seed": look.seed}, change, track)
