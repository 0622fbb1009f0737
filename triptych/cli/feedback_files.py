"""Reads feedback from CSV or JSON lines: a line with a fault is named, before anything is sent."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych import Feedback

COLUMNS = ("prediction_id", "label", "label_index", "source", "feedback_id", "time")
JSON_SUFFIXES = (".jsonl", ".ndjson")


class FeedbackFileError(ValueError):
    """Says which line of a file is wrong, and why."""


def read_feedback(path: Path, source: str) -> "list[Feedback]":
    """Returns what a file says.

    Args:
        path: `*.csv` with a heading, or `*.jsonl` with an object on each line.
        source: who says so where a line does not tell.

    Raises:
        FeedbackFileError: it has another form, or a line is wrong.
        OSError: it cannot be read.
    """
    with path.open(newline="", encoding="utf-8-sig") as stream:
        try:
            return [_feedback(f"{path}:{number}", row, source) for number, row in _rows(path, stream)]
        except UnicodeDecodeError:
            raise FeedbackFileError(f"{path} is no text in UTF-8.") from None


def _rows(path: Path, stream: Iterable[str]) -> "Iterator[tuple[int, Mapping[str, Any]]]":
    if path.suffix.lower() == ".csv":
        yield from _csv_rows(path, stream)
    elif path.suffix.lower() in JSON_SUFFIXES:
        yield from _json_rows(path, stream)
    else:
        raise FeedbackFileError(f"{path} is neither *.csv nor *.jsonl.")


def _csv_rows(path: Path, stream: Iterable[str]) -> "Iterator[tuple[int, Mapping[str, Any]]]":
    reader = csv.DictReader(stream)
    unknown = set(reader.fieldnames or ()) - set(COLUMNS)
    if unknown or "prediction_id" not in (reader.fieldnames or ()):
        told = f"it has {', '.join(map(str, sorted(unknown)))}" if unknown else "prediction_id is missing"
        raise FeedbackFileError(f"{path}: the first line names the columns, of {', '.join(COLUMNS)}; {told}.")
    for row in reader:
        if None in row or None in row.values():
            raise FeedbackFileError(f"{path}:{reader.line_num}: there are not as many fields as columns.")
        yield reader.line_num, row


def _json_rows(path: Path, stream: Iterable[str]) -> "Iterator[tuple[int, Mapping[str, Any]]]":
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise FeedbackFileError(f"{path}:{number}: this is no JSON: {error}.") from None
        if not isinstance(row, dict) or set(row) - set(COLUMNS):
            raise FeedbackFileError(f"{path}:{number}: this is no object of {', '.join(COLUMNS)}.")
        yield number, row


def _feedback(place: str, row: Mapping[str, Any], source: str) -> "Feedback":
    from triptych import Feedback

    try:
        return Feedback(
            prediction_id=_text(row, "prediction_id") or "",
            label=_text(row, "label"),
            label_index=_index(row.get("label_index")),
            source=(_text(row, "source") or source).lower(),  # type: ignore[arg-type] # checked by the class
            feedback_id=_text(row, "feedback_id") or "",
            time=_time(_text(row, "time")),
        )
    except ValueError as error:
        raise FeedbackFileError(f"{place}: {error}") from None


def _text(row: Mapping[str, Any], column: str) -> str | None:
    """Returns a cell; what is empty counts as missing."""
    value = row.get(column)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"{column} must be a text, not {value!r}.")  # noqa: TRY004 (the file's fault)
    return value.strip() or None


def _index(value: Any) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"label_index must be a whole number, not {value!r}.")


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"time must be like 2026-01-31T12:00:00Z, not {text!r}.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
