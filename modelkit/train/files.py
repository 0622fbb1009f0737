"""Writes files whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

_UNFINISHED = ".unfinished-"


def write_atomically(path: Path, data: bytes) -> None:
    """Writes beside the file, then renames: readers see the old content or the new, also after a crash."""
    unfinished = path.with_name(f"{_UNFINISHED}{path.name}-{os.getpid()}")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def remove_unfinished(folder: Path) -> None:
    """Removes what writers that were killed left; nobody else may be writing there."""
    for each in folder.glob(f"{_UNFINISHED}*"):
        each.unlink()


def write_json(path: Path, content: Any) -> None:
    """Writes indented JSON, whole or not at all."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
