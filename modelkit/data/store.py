"""Versions of data sets on disk: `<root>/<name>/<version>/`, immutable, found by a hash of what they hold.

Writers work in a hidden folder that a rename makes the version, so readers see a version whole or not at all.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelkit.data.manifest import MANIFEST_FILE, DataManifest, read_manifest
from modelkit.data.records import DataError, Record, Row, Split
from modelkit.data.shards import read_records, read_rows

ROOT = Path(".triptych/datasets")
LATEST_FILE = "LATEST"
_VERSION_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Dataset:
    """Is one version of a data set."""

    folder: Path
    manifest: DataManifest

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the indices."""
        return tuple(self.manifest.labels)

    def count(self, split: str | None = None) -> int:
        """Counts the images of a split, or of all."""
        return self.manifest.count(split)

    def records(self, split: str | None = None) -> Iterator[Record]:
        """Yields the images of a split, or of all, always in the same order.

        Raises:
            DataError: there is no such split, or a file is damaged.
        """
        for record, _ in self.placed(split):
            yield record

    def placed(self, split: str | None = None) -> Iterator[tuple[Record, Split]]:
        """Yields what `records` does, each image with its split."""
        if split is not None and split not in set(Split):
            raise DataError(f"there is no split {split!r}; there are {', '.join(Split)}")
        for shard in self.manifest.shards:
            for record, place in read_records(self.folder / shard):
                if split in (None, place.value):
                    yield record, place

    def rows(self) -> Iterator[Row]:
        """Yields everything but the pictures, in the order of `records`."""
        for shard in self.manifest.shards:
            yield from read_rows(self.folder / shard)


def open_dataset(root: Path, name: str, version: str = "latest") -> Dataset:
    """Opens a version of a data set.

    Args:
        root: folder of all data sets.
        name: the data set.
        version: its digits, the first few of them, or `latest`: the one made last.

    Raises:
        DataError: there is none, or more than one that starts so.
    """
    check_name(name)
    folder = root / name
    found = versions(root, name)
    if not found:
        known = ", ".join(names(root)) or "none yet"
        raise DataError(f"{root} has no data set {name!r}; it has {known}")
    if version == "latest":
        version = _latest(folder, found)
    matching = [each for each in found if each.startswith(version)]
    if len(matching) != 1:
        raise DataError(f"{len(matching)} versions of {name} start with {version!r}; there are {', '.join(found)}")
    place = folder / matching[0]
    return Dataset(place, read_manifest(place))


def names(root: Path) -> list[str]:
    """Lists the data sets that have a version."""
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if path.is_dir() and versions(root, path.name))


def versions(root: Path, name: str) -> list[str]:
    """Lists a data set's versions, oldest first."""
    folder = root / name
    found = [path for path in folder.glob("[0-9a-f]" * _VERSION_DIGITS) if (path / MANIFEST_FILE).is_file()]
    return [path.name for path in sorted(found, key=lambda path: (read_manifest(path).created, path.name))]


def check_name(name: str) -> None:
    """Refuses names that could be anything but a plain folder.

    Raises:
        DataError: the name has other characters than letters, digits, `_`, `-` and `.`, or starts with a dot.
    """
    plain = name.replace("_", "").replace("-", "").replace(".", "")
    if not (plain.isascii() and plain.isalnum()) or name.startswith(".") or len(name) > 64:
        raise DataError(f"name {name!r}: up to 64 letters, digits, '_', '-' and '.', the first no dot")


def point_latest(folder: Path, version: str) -> None:
    """Makes a version the one that `latest` opens."""
    unfinished = folder / f".{LATEST_FILE}-{os.getpid()}"
    unfinished.write_text(f"{version}\n", encoding="utf-8")
    unfinished.replace(folder / LATEST_FILE)


def _latest(folder: Path, found: list[str]) -> str:
    try:
        pointed = (folder / LATEST_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return found[-1]
    return pointed if pointed in found else found[-1]


def tally(labels: tuple[str, ...], rows: Iterator[Row]) -> dict[str, dict[str, int]]:
    """Counts images by split and name of the label; `` names no label."""
    counts = Counter((row.split, row.label) for row in rows)
    table: dict[str, dict[str, int]] = {}
    for split in Split:
        known = {name: counts[split, index] for index, name in enumerate(labels) if counts[split, index]}
        unlabelled = {"": counts[split, -1]} if counts[split, -1] else {}
        table[split.value] = {**known, **unlabelled}
    return table
