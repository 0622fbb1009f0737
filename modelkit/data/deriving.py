"""Makes a version of a version: each image is kept, changed or dropped."""

from collections.abc import Callable
from pathlib import Path

from modelkit.data.manifest import Made
from modelkit.data.records import Record, Split, Track, untracked
from modelkit.data.store import Dataset
from modelkit.data.writing import Work, writing

Change = Callable[[int, Record, Split], tuple[Record, Split] | None]
"""Says what becomes of an image, which has a position; None drops it. The same image always becomes the same."""

Parameters = dict[str, str | int | float | bool | None]


def derive(parent: Dataset, command: str, parameters: Parameters, change: Change, track: Track = untracked) -> Dataset:
    """Makes a version.

    Args:
        parent: what it is made of.
        command: the step.
        parameters: all that decides what `change` does; a step that was killed goes on if they are the same.
        change: what becomes of each image.
        track: shows how far it is.
    """
    manifest = parent.manifest
    made = Made(command=command, parameters=parameters, parent=manifest.version)
    work = Work(manifest.name, parent.labels, manifest.source, manifest.license, made)
    with writing(root_of(parent), work) as writer:
        consumed = int(writer.state.get("consumed", 0))
        for index, (record, split) in enumerate(track(parent.placed(), f"write {command}", parent.count())):
            changed = change(index, record, split) if index >= consumed else None
            if changed:
                writer.add(*changed, lambda index=index: {"consumed": index + 1})  # type: ignore[misc]
        return writer.finish(manifest.refused)


def root_of(dataset: Dataset) -> Path:
    """Returns the folder of all data sets that this one lies in."""
    return dataset.folder.parent.parent
