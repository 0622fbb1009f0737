"""Parquet files of a data set: one row for each image, zstd."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from modelkit.data.records import DataError, Record, Row, Split

SHARD_ROWS = 8192
SHARD_BYTES = 128 * 2**20
"""A shard ends with the row that reaches either."""
_BATCH = 256
_STATE = b"triptych.state"

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.binary()),
        ("label", pa.int32()),
        ("split", pa.string()),
        ("source", pa.string()),
    ]
)


def write_shard(path: Path, rows: list[tuple[Record, Split]], state: dict[str, Any]) -> None:
    """Writes a shard beside its place, makes it durable and moves it there.

    Args:
        path: where the shard shall be.
        rows: images with their splits.
        state: what whoever goes on after this shard has to know; JSON.
    """
    columns = {
        "id": [record.id for record, _ in rows],
        "image": [record.image for record, _ in rows],
        "label": [record.label for record, _ in rows],
        "split": [split.value for _, split in rows],
        "source": [record.source for record, _ in rows],
    }
    schema = SCHEMA.with_metadata({_STATE: json.dumps(state, ensure_ascii=False).encode()})
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        pq.write_table(pa.table(columns, schema=schema), file, compression="zstd", row_group_size=1024)
        sync(file)
    unfinished.replace(path)


def read_state(path: Path) -> dict[str, Any]:
    """Returns what `write_shard` was told to remember."""
    state: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_STATE])
    return state


def read_rows(path: Path) -> Iterator[Row]:
    """Reads everything but the pictures.

    Raises:
        DataError: the file is damaged.
    """
    for batch in _batches(path, ["id", "label", "split", "source"]):
        for row in batch.to_pylist():
            yield Row(row["id"], row["label"], Split(row["split"]), row["source"])


def read_records(path: Path) -> Iterator[tuple[Record, Split]]:
    """Reads images with their splits.

    Raises:
        DataError: the file is damaged.
    """
    for batch in _batches(path, SCHEMA.names):
        for row in batch.to_pylist():
            yield Record(row["id"], row["image"], row["label"], row["source"]), Split(row["split"])


def _batches(path: Path, columns: list[str]) -> Iterator[Any]:
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_BATCH, columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is damaged or missing: {str(error).splitlines()[0]}") from error


def sync(file: Any) -> None:
    """Waits until an open file's content is on the disk."""
    file.flush()
    os.fsync(file.fileno())
