"""Label files: CSV with the columns `image`, `label`, `who` and `when`, one line for each thing that somebody said.

Nothing is ever changed in such a file. A person's last word on an image counts; an empty label takes it back. Where
people differ, who spoke last is right.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from modelkit.data.records import MAX_IMAGES, MAX_NAME_CHARACTERS, DataError

HEADER = ("image", "label", "who", "when")
MAX_WHO_CHARACTERS = 100
MAX_FILE_BYTES = 400 * MAX_IMAGES
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Answer:
    """Is what somebody said of an image."""

    image: str
    """Its id: the sha256 of its bytes."""
    label: str
    """Name of the label; empty takes back what the same person said before."""
    who: str
    when: datetime
    """UTC."""


def read_answers(path: Path) -> list[Answer]:
    """Reads a label file, in the order of its lines.

    Raises:
        DataError: the file cannot be read, or a line is wrong; the number of the line is told.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{path} is longer than {MAX_FILE_BYTES} bytes, the limit of a label file")
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path}: the label file cannot be read: {error.strerror}") from error


def parse(content: bytes, where: str) -> list[Answer]:
    """Reads lines; a last one that a crash cut off, so that it has no end, says nothing.

    Raises:
        DataError: a line is wrong.
    """
    whole, _, rest = content.rpartition(b"\n")
    lines = whole.decode("utf-8-sig", "replace").splitlines() if whole else []
    if lines and lines[0] != ",".join(HEADER):
        raise DataError(f"{where}: line 1: the columns are {lines[0][:80]!r}, not {','.join(HEADER)}")
    answers = [_answer(line, f"{where}: line {number}") for number, line in enumerate(lines[1:], start=2) if line]
    try:
        last = [_answer(rest.decode("utf-8", "replace"), where)] if rest and lines else []
    except DataError:
        last = []
    return answers + last


def line_of(answer: Answer) -> bytes:
    """Returns the line of an answer, with its end."""
    text = io.StringIO()
    when = answer.when.isoformat(timespec="milliseconds")
    csv.writer(text, lineterminator="\n").writerow([answer.image, answer.label, answer.who, when])
    return text.getvalue().encode()


def decided(answers: Iterable[Answer]) -> dict[str, str]:
    """Returns the label of each image that has one, by id."""
    said = _last_words(answers)
    return {answer.image: answer.label for answer in sorted(said, key=lambda answer: answer.when) if answer.label}


def disputed(answers: Iterable[Answer]) -> set[str]:
    """Returns the ids of images to which people gave different labels."""
    labels: dict[str, set[str]] = {}
    for answer in _last_words(answers):
        labels.setdefault(answer.image, set()).update({answer.label} - {""})
    return {image for image, names in labels.items() if len(names) > 1}


def check_who(who: str) -> str:
    """Returns the name of whoever labels, if a line can hold it.

    Raises:
        DataError: it is empty, too long or has unprintable characters.
    """
    if not who.strip() or not who.isprintable() or len(who) > MAX_WHO_CHARACTERS:
        raise DataError(f"who {who[:40]!r}: 1 to {MAX_WHO_CHARACTERS} printable characters")
    return who.strip()


def _last_words(answers: Iterable[Answer]) -> list[Answer]:
    last: dict[tuple[str, str], Answer] = {}
    for answer in answers:
        before = last.get((answer.image, answer.who))
        if before is None or answer.when >= before.when:
            last[answer.image, answer.who] = answer
    return list(last.values())


def _answer(line: str, where: str) -> Answer:
    try:
        image, label, who, when = next(csv.reader([line], strict=True))
        moment = datetime.fromisoformat(when)
    except (ValueError, csv.Error) as error:
        raise DataError(f"{where}: four fields are needed, the last one a time in ISO 8601: {error}") from error
    if not _ID.fullmatch(image):
        raise DataError(f"{where}: image {image[:80]!r} is no id: 64 hexadecimal digits")
    if len(label) > MAX_NAME_CHARACTERS or not label.isprintable():
        raise DataError(f"{where}: label {label[:40]!r}: up to {MAX_NAME_CHARACTERS} printable characters")
    return Answer(image, label, check_who(who), moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
