"""Image folders: a folder for each label, or for each split and in it for each label; or images without either."""

import os
from collections.abc import Iterator
from pathlib import Path

from modelkit.data.records import Broken, Item, Split, label_order, split_named
from modelkit.data.sources.source import Source, inside, read_image


def read_folders(path: Path) -> Source:
    """Reads an image folder. Hidden files are passed over; links that lead out are refused.

    If every folder in `path` has the name of a split, these are splits; else they are labels.
    """
    splits = _splits(path)
    files = tuple(sorted(_walk(path)))
    labels = (_label(path, file, splits) for file in files)
    return Source(
        labels=label_order(label for label in labels if label is not None),
        items=lambda: _items(path, files, splits),
        total=len(files),
        files=files,
    )


def _splits(path: Path) -> dict[str, Split]:
    folders = [entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    named = {name: split for name in folders if (split := split_named(name))}
    return named if len(named) == len(folders) else {}


def _walk(path: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder, name) for name in files if not name.startswith("."))


def _items(path: Path, files: tuple[Path, ...], splits: dict[str, Split]) -> Iterator[Item | Broken]:
    for file in files:
        name = file.relative_to(path).as_posix()
        image = read_image(file) if inside(path, name) else "the link leads out of the folder"
        if isinstance(image, str):
            yield Broken(name, image)
        else:
            yield Item(image, _label(path, file, splits), splits.get(name.split("/")[0]), name)


def _label(path: Path, file: Path, splits: dict[str, Split]) -> str | None:
    parents = file.relative_to(path).parts[:-1]
    parents = parents[1:] if parents and parents[0] in splits else parents
    return parents[0] if parents else None
