"""Tables and a contact sheet of data sets, for people."""

from itertools import islice
from pathlib import Path

from PIL import Image
from rich import box
from rich.table import Table

from modelkit.data.manifest import DataManifest
from modelkit.data.pictures import sheet
from modelkit.data.records import Split
from modelkit.data.store import Dataset, names, open_dataset, versions

_SHEET_COLUMNS = 12
_SHEET_ROWS = 40


def listing(root: Path) -> Table:
    """Returns all data sets with their versions, oldest first; a star marks the one that `latest` opens."""
    table = _table("data set", "version", "made by", "parent", "train", "val", "test", "labels")
    for name in names(root):
        latest = open_dataset(root, name).manifest.version
        for version in versions(root, name):
            table.add_row(*_line(open_dataset(root, name, version).manifest, latest=version == latest))
    return table


def _line(manifest: DataManifest, *, latest: bool) -> tuple[str, ...]:
    counts = (f"{manifest.count(split):,}" for split in Split)
    version = f"{manifest.version} *" if latest else manifest.version
    return (
        manifest.name,
        version,
        manifest.made.command,
        manifest.made.parent or "-",
        *counts,
        str(len(manifest.labels)),
    )


def balance(dataset: Dataset) -> Table:
    """Returns how many images each label has in each split."""
    table = _table("label", "", *Split, "all")
    counts = dataset.manifest.counts
    every = {name: sum(labels.get(name, 0) for labels in counts.values()) for name in (*dataset.labels, "")}
    largest = max(every.values(), default=1)
    for name, total in every.items():
        if name or total:
            bar = "█" * round(20 * total / largest)
            table.add_row(name or "(none)", bar, *(f"{counts[split].get(name, 0):,}" for split in Split), f"{total:,}")
    return table


def facts(dataset: Dataset) -> Table:
    """Returns what the manifest says of a version beside its counts."""
    manifest = dataset.manifest
    table = Table(box=None, show_header=False, pad_edge=False)
    parameters = ", ".join(f"{key} {value}" for key, value in manifest.made.parameters.items() if value is not None)
    table.add_row("folder", str(dataset.folder))
    table.add_row("images", f"{dataset.count():,}")
    table.add_row("made by", f"{manifest.made.command} ({parameters})")
    table.add_row("parent", manifest.made.parent or "-")
    table.add_row("source", f"{manifest.source}, licence {manifest.license}")
    table.add_row("created", manifest.created)
    if manifest.refused.count:
        table.add_row("refused", f"{manifest.refused.count:,}")
        for reason, count in manifest.refused.reasons.items():
            table.add_row("", f"{count:,} x {reason}")
    return table


def contact_sheet(dataset: Dataset, split: str | None = None) -> Image.Image:
    """Draws the first images of each label, a row for each; of the first 40 labels."""
    rows: dict[int, list[bytes]] = {index: [] for index in islice(range(len(dataset.labels)), _SHEET_ROWS)}
    if not rows:
        rows = {-1: []}
    missing = _SHEET_COLUMNS * len(rows)
    for record in dataset.records(split):
        row = rows.get(record.label)
        if row is not None and len(row) < _SHEET_COLUMNS:
            row.append(record.image)
            missing -= 1
        if not missing:
            break
    return sheet(rows.values())


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in headings:
        numeric = heading in {*Split, "all", "labels"}
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    return table
