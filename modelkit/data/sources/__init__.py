"""Readers of what data sets come in; each turns a path into a `Source`, and survives hostile files."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from modelkit.data.records import DataError
from modelkit.data.sources.feedback import read_feedback
from modelkit.data.sources.folders import read_folders
from modelkit.data.sources.idx import read_idx
from modelkit.data.sources.lists import read_list
from modelkit.data.sources.parquet import read_parquet
from modelkit.data.sources.source import Source
from modelkit.data.sources.tars import read_tars


class SourceFormat(StrEnum):
    """Names the formats that `data import` reads."""

    FOLDERS = "folders"
    IDX = "idx"
    PARQUET = "parquet"
    WEBDATASET = "webdataset"
    CSV = "csv"
    FEEDBACK = "feedback"


_READERS: dict[SourceFormat, Callable[[Path], Source]] = {
    SourceFormat.FOLDERS: read_folders,
    SourceFormat.IDX: read_idx,
    SourceFormat.PARQUET: read_parquet,
    SourceFormat.WEBDATASET: read_tars,
    SourceFormat.CSV: read_list,
    SourceFormat.FEEDBACK: read_feedback,
}

_PATTERNS = (
    ("*-ubyte*", SourceFormat.IDX),
    ("*.parquet", SourceFormat.PARQUET),
    ("*.tar", SourceFormat.WEBDATASET),
    ("*.tar.gz", SourceFormat.WEBDATASET),
    ("*.tgz", SourceFormat.WEBDATASET),
    ("*.csv", SourceFormat.CSV),
    ("*.jsonl", SourceFormat.FEEDBACK),
)
"""What names say; of a folder, the first pattern that a file directly in it, or in `data/`, has."""


def open_source(path: Path, form: SourceFormat | None = None) -> Source:
    """Opens a source.

    Args:
        path: a file or folder.
        form: its format; by default found by the names of its files.

    Raises:
        DataError: there is nothing there, or nothing that can be read.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    return _READERS[form or detect(path)](path)


def detect(path: Path) -> SourceFormat:
    """Finds out a source's format by the names of its files.

    Raises:
        DataError: a file's name says nothing.
    """
    if path.is_dir():
        for pattern, form in _PATTERNS:
            if any(path.glob(pattern)) or any(path.glob(f"data/{pattern}")):
                return form
        return SourceFormat.FOLDERS
    for pattern, form in _PATTERNS:
        if path.match(pattern):
            return form
    raise DataError(f"{path}: the name says no format; say --format: {', '.join(SourceFormat)}")
