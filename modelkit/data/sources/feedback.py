"""Feedback: what users said was right, as JSON lines with the images beside them.

A line is an object with

- `image`: path of the image from the file's folder, or `image_sha256`: then it is `images/<sha256>`; with both, the
  content must have that sha256;
- `label`: the right label's name, as users gave it; missing or null where they did not know;
- `prediction_id`: the answer that it is about;
- and what may be there and is not read: `predicted`, `label_prob`, `model`, `version`, `at`.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelkit.data.records import MAX_NAME_CHARACTERS, Broken, DataError, Item, Split, image_id, label_order
from modelkit.data.sources.source import Source, inside, read_image

MAX_LINE_BYTES = 2**20
_IMAGES = "images"


class Feedback(BaseModel):
    """Is one line of a feedback export; the experiments service writes them."""

    model_config = ConfigDict(extra="ignore")

    prediction_id: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    image: str | None = None
    """Path from the file's folder."""
    image_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    label: str | None = None
    """The right one; None where nobody said."""
    predicted: str | None = None
    """What the model answered."""
    label_prob: float | None = Field(default=None, ge=0, le=1)
    """The model's probability of what it answered."""
    model: str | None = None
    version: str | None = None
    at: str | None = None
    """When the feedback came; UTC, ISO 8601."""

    @property
    def place(self) -> str | None:
        """Path of the image from the file's folder, None if the line names no image."""
        return self.image or (f"{_IMAGES}/{self.image_sha256}" if self.image_sha256 else None)


def read_feedback(path: Path) -> Source:
    """Reads a feedback export: `path` is the file or the folder of the only one. All of it is for training.

    Raises:
        DataError: there is not exactly one file.
    """
    found = [path] if path.is_file() else sorted(path.glob("*.jsonl"))
    if len(found) != 1:
        raise DataError(f"{path} holds {len(found)} files *.jsonl; name the one to read")
    file = found[0]
    labels = label_order(line.label for _, line in lines(file) if isinstance(line, Feedback) and line.label)
    return Source(labels=labels, items=lambda: _items(file), files=(file,))


def lines(file: Path) -> Iterator[tuple[int, Feedback | str]]:
    """Reads the lines, each with its number: what it says, or what is wrong with it."""
    with file.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b""), start=1):
            if len(line) > MAX_LINE_BYTES:
                yield number, f"the line is longer than {MAX_LINE_BYTES} bytes, the limit"
                return
            if line.strip():
                yield number, _parse(line)


def _parse(line: bytes) -> Feedback | str:
    try:
        return Feedback.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        return f"field {'.'.join(map(str, first['loc'])) or 'of the line'}: {first['msg']}"


def _items(file: Path) -> Iterator[Item | Broken]:
    for number, line in lines(file):
        yield Broken(f"{file.name}:{number}", line) if isinstance(line, str) else _item(file.parent, line)


def _item(folder: Path, line: Feedback) -> Item | Broken:
    source = f"feedback:{line.prediction_id}"
    if line.place is None:
        return Broken(source, "the line names neither image nor image_sha256")
    place = inside(folder, line.place)
    image = read_image(place) if place else "field image: the path leads out of the folder"
    if isinstance(image, str):
        return Broken(source, image)
    if line.image_sha256 and image_id(image) != line.image_sha256:
        return Broken(source, "field image_sha256: the image has another sha256")
    return Item(image, line.label, Split.TRAIN, source)
