"""Reads the chart's values.yaml as people wrote it: keys with their comments and defaults, in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHART = Path(__file__).parents[2] / "helm" / "triptych"
VALUES = CHART / "values.yaml"


@dataclass(frozen=True)
class Value:
    """Is one key of the file."""

    path: tuple[str, ...]
    default: str
    """As it stands in the file; empty where it is a section or spans lines."""
    comment: str


def read_values(text: str) -> Iterator[Value]:
    """Yields every key of values.yaml, except those inside of lists.

    The file is plain: two spaces a level, comments above their key, lists as blocks of `- ` deeper than their key.
    """
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        words = line.strip()
        if not words:
            comment = []
        elif words.startswith("#"):
            comment.append(words.removeprefix("#").strip())
        elif not words.startswith("- "):
            depth = (len(line) - len(line.lstrip())) // 2
            if depth > len(path):  # goes on inside of a list
                continue
            key, _, default = words.partition(":")
            path = [*path[:depth], key]
            yield Value(tuple(path), default.strip(), " ".join(comment))
            comment = []
        else:
            comment = []


def comments(text: str) -> dict[tuple[str, ...], str]:
    """Returns what is said of each key that has a comment."""
    return {value.path: value.comment for value in read_values(text) if value.comment}
