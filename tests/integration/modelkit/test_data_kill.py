"""Data sets, and what is known of them, survive the death of what writes them."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from datasources import write_idx

from modelkit.data.cache import Arrays, Cache, beside
from modelkit.data.cleaning import Look, inspect
from modelkit.data.deriving import derive
from modelkit.data.findings import Finding
from modelkit.data.importing import Import, import_dataset
from modelkit.data.records import NO_LABEL, Record, Split
from modelkit.data.shards import SHARD_ROWS
from modelkit.data.store import Dataset, names

IMAGES = 40_000
LOOKED_AT = 20_000
LABELLED = 300
"""Of those looked at: the time of the cheap model grows with them."""
T = TypeVar("T")


def killed(arguments: list[str], reached: Callable[[], bool]) -> None:
    """Runs `triptych model data` until something is reached, and kills it."""
    command = [sys.executable, "-m", "triptych.cli.__main__", "model", "data", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not reached():
            assert process.poll() is None
        process.kill()


def test_an_import_that_was_killed_goes_on(tmp_path: Path) -> None:
    """After kill -9 there is no half version; the next import keeps the finished shards and makes the same version."""
    source, root = write_idx(tmp_path / "in", IMAGES), tmp_path / "root"
    killed(
        ["import", str(source), "--name", "x", "--root", str(root)],
        lambda: bool(list(root.glob("x/.unfinished-*/part-00000.parquet"))),
    )
    (kept,) = root.glob("x/.unfinished-*/part-00000.parquet")
    assert [] == names(root)
    written = kept.stat().st_mtime_ns
    resumed = import_dataset(root, Import("x", source))
    whole = import_dataset(tmp_path / "other", Import("x", source))
    assert written == (resumed.folder / "part-00000.parquet").stat().st_mtime_ns
    assert whole.manifest.version == resumed.manifest.version
    assert IMAGES == resumed.count()


@dataclass(frozen=True)
class Counting(Cache):
    """Counts what had to be computed, by stage: all of it is handed over to be kept."""

    computed: Counter[str] = field(default_factory=Counter)

    def keep(self, place: str, arrays: Arrays) -> Arrays:
        """Keeps it, counted."""
        self.computed[place.partition("-")[0]] += 1
        return super().keep(place, arrays)


def looked(dataset: Dataset) -> tuple[list[Finding], Counter[str], int]:
    """Inspects a data set with its cache: the findings, what was computed, and how many images were decoded."""
    decoded = Counter[str]()

    def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        for item in items:
            decoded[what] += 1
            yield item

    cache = Counting(beside(dataset).folder)
    findings = inspect(dataset, Look(), track, cache).findings
    return findings, cache.computed, decoded["decode"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Returns a data set of three shards, of which few images have labels."""
    folder = tmp_path_factory.mktemp("looked")
    imported = import_dataset(folder / "root", Import("x", write_idx(folder / "in", LOOKED_AT)))

    def unlabelled(position: int, record: Record, split: Split) -> tuple[Record, Split]:
        label = record.label if position < LABELLED else NO_LABEL
        return Record(record.id, record.image, label, record.source), split

    return derive(imported, "label", {}, unlabelled)


@pytest.fixture(scope="module")
def whole(dataset: Dataset) -> tuple[list[Finding], Counter[str], int]:
    """Returns what a look finds that nothing cuts off."""
    found = looked(dataset)
    shutil.rmtree(beside(dataset).folder or "")
    return found


@pytest.mark.parametrize("stage", ["features", "pairs", "beliefs"])
def test_a_look_that_was_killed_goes_on(
    dataset: Dataset, whole: tuple[list[Finding], Counter[str], int], stage: str
) -> None:
    """Killed while it decodes, compares or judges, `data clean` finds the same, and computes only what is missing."""
    findings, everything, images = whole
    assert LOOKED_AT == images
    folder = beside(dataset).folder
    assert folder is not None
    shutil.rmtree(folder, ignore_errors=True)
    killed(
        ["clean", "x", "--root", str(dataset.folder.parent.parent), "--report", str(folder.with_name("report.html"))],
        lambda: bool(list(folder.glob(f"{stage}-*"))),
    )
    kept = Counter(file.name.partition("-")[0] for file in folder.glob("[!.]*"))
    assert 0 < kept[stage] < everything[stage]
    again, computed, decoded = looked(dataset)
    assert findings == again
    assert everything - kept == computed
    assert max(images - kept["features"] * SHARD_ROWS, 0) == decoded
    assert (findings, Counter(), 0) == looked(dataset)
