"""What was found out about images is found again, unless it could be wrong."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from datasources import image_folder

from modelkit.data.cache import DAYS, Cache, address, beside
from modelkit.data.cleaning import Look, inspect
from modelkit.data.deriving import derive
from modelkit.data.importing import Import, import_dataset
from modelkit.data.records import Record, Split
from modelkit.data.store import Dataset

LOOK = Look(near=0.5)


def pets(tmp_path: Path) -> Dataset:
    """Imports a small data set."""
    return import_dataset(tmp_path / "root", Import("pets", image_folder(tmp_path / "in", {"cat": 12, "ant": 12})))


def kept(cache: Cache) -> list[Path]:
    """Lists the files of a cache."""
    assert cache.folder is not None
    return sorted(cache.folder.glob("*"))


def test_damage_is_told_and_mended(tmp_path: Path) -> None:
    """A file that was cut, emptied or changed in one byte is told and made again; the findings are the same."""
    dataset = pets(tmp_path)
    told: list[str] = []
    cache = beside(dataset, told.append)
    findings = inspect(dataset, LOOK, cache=cache).findings
    files = kept(cache)
    assert 7 == len(files)
    contents = [file.read_bytes() for file in files]
    for spoilt in (lambda data: data[:-1], lambda _: b"", lambda data: data[:99] + bytes([data[99] ^ 1]) + data[100:]):
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(spoilt(content))
        told.clear()
        assert findings == inspect(dataset, LOOK, cache=cache).findings
        assert {f"{file} is damaged: it is made again" for file in files} == set(told)
        assert contents == [file.read_bytes() for file in files]


def test_another_question_has_another_answer(tmp_path: Path) -> None:
    """A cache changes no finding: not those of another look, nor of other labels of the same images."""
    dataset = pets(tmp_path)
    inspect(dataset, LOOK, cache=beside(dataset))

    def swapped(position: int, record: Record, split: Split) -> tuple[Record, Split]:
        return (replace(record, label=1 - record.label) if position < 4 else record), split

    other = derive(dataset, "label", {}, swapped)
    for each, look in ((dataset, Look(near=0.4)), (dataset, Look(near=0.5, seed=1)), (other, LOOK)):
        before = len(kept(beside(dataset)))
        assert inspect(each, look).findings == inspect(each, look, cache=beside(each)).findings
        assert before < len(kept(beside(dataset)))
    assert 1 == len([file for file in kept(beside(dataset)) if file.name.startswith("features-")])


def test_what_nobody_asks_for_goes(tmp_path: Path) -> None:
    """Files that no look used for some days are deleted when the next one begins, and those that one used stay."""
    dataset = pets(tmp_path)
    cache = beside(dataset)
    inspect(dataset, LOOK, cache=cache)
    files = kept(cache)
    limit = time.time() - DAYS * 24 * 3600
    for age, left in ((limit + 60, files), (limit - 60, [file for file in files if file.name.startswith("features-")])):
        for file in files:
            os.utime(file, (age, age))
        inspect(dataset, Look(near=None, label_errors=False), cache=cache)
        assert left == kept(beside(dataset))


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The look goes on without it."""
    dataset = pets(tmp_path)
    told: list[str] = []
    cache = beside(dataset, told.append)
    (dataset.folder.parent / ".cache").write_text("in the way")
    assert inspect(dataset, LOOK).findings == inspect(dataset, LOOK, cache=cache).findings
    assert told
    assert all("cannot be kept: File exists" in text for text in told)


@pytest.mark.parametrize("other", [(1.5, np.zeros(2)), (1, np.ones(2)), (1, np.zeros((1, 2))), (1, np.zeros(2, int))])
def test_an_address_is_of_all_that_decides(other: tuple[float, np.ndarray]) -> None:
    """Another value, shape or type of anything is another place."""
    assert address("x", 1, np.zeros(2)) == address("x", 1, np.zeros(2))
    assert address("x", 1, np.zeros(2)) != address("x", *other)
