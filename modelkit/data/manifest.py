"""A data set version's manifest: what it holds and how it was made."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelkit.data.records import DataError

MANIFEST_FILE = "manifest.json"


class Strict(BaseModel):
    """Refuses fields that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Refused(Strict):
    """Counts what an import could not use."""

    count: int = 0
    """Of all reasons."""
    reasons: dict[str, int] = Field(default_factory=dict)
    """Count by reason."""
    examples: list[str] = Field(default_factory=list)
    """The first ones, each with its reason."""


class Made(Strict):
    """Says how a version was made."""

    command: str
    """`import`, `clean`, `label` or `split`."""
    parameters: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    parent: str | None = None
    """Version that this one was made of."""


class DataManifest(Strict):
    """Is `manifest.json`."""

    schema_version: int = 1
    name: str
    version: str
    """First 12 hexadecimal digits of a sha256 over the labels and all (id, label, split), sorted."""
    labels: list[str]
    """Names, in the order of the indices."""
    counts: dict[str, dict[str, int]]
    """Images by split and label name; `` is the name of no label."""
    source: str
    license: str
    made: Made
    refused: Refused = Refused()
    created: str
    """UTC, ISO 8601."""
    shards: list[str]
    """Parquet files, in order."""

    def count(self, split: str | None = None) -> int:
        """Counts the images of a split, or of all."""
        return sum(sum(labels.values()) for name, labels in self.counts.items() if split in (None, name))


def read_manifest(folder: Path) -> DataManifest:
    """Reads a version's manifest.

    Raises:
        DataError: it is missing or not what this release writes.
    """
    path = folder / MANIFEST_FILE
    try:
        return DataManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the text"
        raise DataError(f"{path}: field {field}: {first['msg']}") from error
