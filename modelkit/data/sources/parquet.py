"""Parquet as Hugging Face lays it out: a column of images, `{bytes, path}`, and one of labels."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from modelkit.data.records import Broken, DataError, Item, Split, label_order, split_named
from modelkit.data.sources.source import MAX_IMAGE_BYTES, Source, files_of

MAX_ROW_GROUP_BYTES = 2 * 2**30
"""Uncompressed, as the file says."""
_IMAGE = ("image", "img", "picture")
_LABEL = ("label", "labels", "fine_label", "class")
_BATCH = 64


def read_parquet(path: Path) -> Source:
    """Reads Parquet files: `path` is one, or the folder of several, whose names or folders say the split.

    Names of labels come from the `ClassLabel` feature in the file's notes; without it they are numbers or texts.

    Raises:
        DataError: no file can be read, or it has no column of images.
    """
    files = files_of(path, "*.parquet")
    readable, broken = [], []
    for file in files:
        problem = _problem(file)
        if problem:
            broken.append(Broken(_name(path, file), problem))
        else:
            readable.append(file)
    if not readable:
        raise DataError(f"{broken[0].source}: {broken[0].reason}")
    names = [_class_names(file) for file in readable]
    if any(each != names[0] for each in names):
        raise DataError(f"{path}: the files name their labels differently")
    labels = names[0] or label_order(label for file in readable for label in _labels(file))

    def items() -> Iterator[Item | Broken]:
        yield from broken
        for file in readable:
            yield from _items(path, file, names[0])

    total = len(broken) + sum(pq.read_metadata(file).num_rows for file in readable)
    return Source(labels=labels, items=items, total=total, files=tuple(files))


def _problem(file: Path) -> str | None:
    try:
        metadata = pq.read_metadata(file)
        schema = pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        return f"no readable Parquet file: {str(error).splitlines()[0]}"
    largest = max((metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)), default=0)
    if largest > MAX_ROW_GROUP_BYTES:
        return f"a row group has {largest} bytes; the limit is {MAX_ROW_GROUP_BYTES}"
    image = _column(schema, _IMAGE)
    if image is None:
        return f"no column {' or '.join(_IMAGE)}; there are {', '.join(schema.names)}"
    kind = schema.field(image).type
    if not (_is_binary(kind) or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)):
        return f"column {image}: {kind}; it must be binary or a struct with a field bytes"
    label = _column(schema, _LABEL)
    if label is not None and not (pa.types.is_integer(schema.field(label).type) or _is_text(schema.field(label).type)):
        return f"column {label}: {schema.field(label).type}; it must be integers or texts"
    return None


def _items(root: Path, file: Path, names: tuple[str, ...]) -> Iterator[Item | Broken]:
    schema = pq.read_schema(file)
    image, label = _column(schema, _IMAGE), _column(schema, _LABEL)
    name, split, index = _name(root, file), _split(root, file), 0
    try:
        with pq.ParquetFile(file) as opened:
            columns = [column for column in (image, label) if column]
            for batch in opened.iter_batches(batch_size=_BATCH, columns=columns, use_threads=False):
                for row in batch.to_pylist():
                    value = row[label] if label else None
                    yield _item(row[image], _label_name(value, names), split, f"{name}#{index}")
                    index += 1
    except (OSError, pa.ArrowException) as error:
        yield Broken(name, f"the file is damaged after row {index}: {str(error).splitlines()[0]}")


def _item(cell: Any, label: str | None, split: Split | None, source: str) -> Item | Broken:
    image = cell.get("bytes") if isinstance(cell, dict) else cell
    if not image:
        return Broken(source, "the row holds no bytes of an image")
    if len(image) > MAX_IMAGE_BYTES:
        return Broken(source, f"the image has {len(image)} bytes; the limit is {MAX_IMAGE_BYTES}")
    return Item(bytes(image), label, split, source)


def _label_name(value: Any, names: tuple[str, ...]) -> str | None:
    """Returns a label's name; a number outside the names stays a number, which the import then refuses."""
    if value is None or value in (-1, ""):
        return None
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else str(value)


def _labels(file: Path) -> Iterator[str]:
    label = _column(pq.read_schema(file), _LABEL)
    if label is None:
        return
    try:
        values = pq.read_table(file, columns=[label])[label].unique().to_pylist()
    except (OSError, pa.ArrowException):  # told when the rows are read
        return
    yield from (name for value in values if (name := _label_name(value, ())) is not None)


def _class_names(file: Path) -> tuple[str, ...]:
    schema = pq.read_schema(file)
    try:
        notes = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = notes["info"]["features"][_column(schema, _LABEL)]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _split(root: Path, file: Path) -> Split | None:
    words = [*file.relative_to(root).parts[:-1], file.name.split(".")[0].split("-")[0]] if root != file else []
    return next((split for word in words if (split := split_named(word))), split_named(file.name.split("-")[0]))


def _name(root: Path, file: Path) -> str:
    return file.name if file == root else file.relative_to(root).as_posix()


def _column(schema: Any, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in schema.names), None)


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
