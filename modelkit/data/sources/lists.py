"""A CSV file that lists images: columns `path` and `label`, and `split` if there is one."""

import csv
from collections.abc import Iterator
from pathlib import Path

from modelkit.data.records import Broken, DataError, Item, Split, label_order, split_named
from modelkit.data.sources.source import Source, inside, read_image

_PATH = ("path", "file", "filename", "file_name", "image")
_LABEL = ("label", "class")


def read_list(path: Path) -> Source:
    """Reads a CSV file, or the one in a folder. Paths count from the file's folder and may not leave it.

    An empty label means none.

    Raises:
        DataError: there is not exactly one file, or a column is missing.
    """
    found = [path] if path.is_file() else sorted(path.glob("*.csv"))
    if len(found) != 1:
        raise DataError(f"{path} holds {len(found)} CSV files; name the one to read")
    file = found[0]
    rows = list(_rows(file))
    labels = label_order(row[1] for row in rows if isinstance(row, tuple) and row[1])
    return Source(labels=labels, items=lambda: _items(file, rows), total=len(rows), files=(file,))


def _items(file: Path, rows: list[tuple[str, str, str] | Broken]) -> Iterator[Item | Broken]:
    for row in rows:
        yield row if isinstance(row, Broken) else _item(file.parent, *row)


def _item(folder: Path, name: str, label: str, split: str) -> Item | Broken:
    place = inside(folder, name)
    image = read_image(place) if place else "the path leads out of the folder"
    if isinstance(image, str):
        return Broken(name, image)
    named: Split | None = split_named(split)
    if split and not named:
        return Broken(name, f"column split: {split!r} is none of train, val, test")
    return Item(image, label or None, named, name)


def _rows(file: Path) -> Iterator[tuple[str, str, str] | Broken]:
    """Reads path, label and split of every line."""
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        reader = csv.reader(stream)
        try:
            header = [name.strip().lower() for name in next(reader, [])]
        except csv.Error as error:
            raise DataError(f"{file}: line 1: {error}") from error
        path, label = _column(file, header, _PATH), _column(file, header, _LABEL)
        split = header.index("split") if "split" in header else None
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Broken(f"{file.name}:{reader.line_num}", f"the line cannot be read: {error}")
                continue
            if not row:
                continue
            if len(row) != len(header):
                wrong = f"the line has {len(row)} fields, the header has {len(header)}"
                yield Broken(f"{file.name}:{reader.line_num}", wrong)
                continue
            yield row[path].strip(), row[label].strip(), row[split].strip() if split is not None else ""


def _column(file: Path, header: list[str], names: tuple[str, ...]) -> int:
    found = [header.index(name) for name in names if name in header]
    if not found:
        raise DataError(f"{file}: no column {names[0]}; the first line has {', '.join(header) or 'nothing'}")
    return found[0]
