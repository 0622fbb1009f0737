"""Makes versions: images go into shards in a hidden folder; a rename makes the whole of it a version.

A writer that was killed leaves finished shards behind. The next writer of the same work (same `key`) finds them and
says through `state` where to go on.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelkit.data.manifest import MANIFEST_FILE, DataManifest, Made, Refused
from modelkit.data.records import MAX_IMAGES, NO_LABEL, DataError, Record, Row, Split
from modelkit.data.shards import SHARD_BYTES, SHARD_ROWS, read_rows, read_state, sync, write_shard
from modelkit.data.store import Dataset, check_name, point_latest, tally

Resume = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Work:
    """Says what is being made; the same work, started again, goes on where it was cut off."""

    name: str
    labels: tuple[str, ...]
    source: str
    license: str
    made: Made
    fingerprint: str = ""
    """Changes when what it is made from does."""

    @property
    def key(self) -> str:
        """Names the hidden folder."""
        text = json.dumps([self.labels, self.source, self.made.model_dump(), self.fingerprint], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(slots=True)
class Writer:
    """Collects images until there are enough for a shard."""

    work: Work
    folder: Path
    """The data set's, which holds its versions."""
    scratch: Path
    shards: list[str]
    state: dict[str, Any]
    """What the last shard remembers; empty at the start."""
    _rows: list[tuple[Record, Split]] = field(default_factory=list)
    _bytes: int = 0
    _total: int = 0

    def add(self, record: Record, split: Split, resume: Resume) -> None:
        """Adds an image.

        Args:
            record: the image.
            split: what it is for.
            resume: says where to go on after it, should it be the last one of its shard; JSON.

        Raises:
            DataError: there are too many images, or the label is none of the data set's.
        """
        if not NO_LABEL <= record.label < len(self.work.labels):
            raise DataError(f"{record.source}: label {record.label} is none of the {len(self.work.labels)} labels")
        self._total += 1
        if self._total > MAX_IMAGES:
            raise DataError(f"{self.work.source} has more than {MAX_IMAGES} images, the limit of one data set")
        self._rows.append((record, split))
        self._bytes += len(record.image)
        if len(self._rows) >= SHARD_ROWS or self._bytes >= SHARD_BYTES:
            self._flush(resume())

    def _flush(self, state: dict[str, Any]) -> None:
        shard = f"part-{len(self.shards):05}.parquet"
        write_shard(self.scratch / shard, self._rows, state)
        self.shards.append(shard)
        self._rows, self._bytes = [], 0

    def finish(self, refused: Refused | None = None) -> Dataset:
        """Makes the version and points `latest` at it; if it exists already, that one is returned.

        Raises:
            DataError: there is no image in it.
        """
        if self._rows:
            self._flush({})
        if not self.shards:
            raise DataError(f"{self.work.source}: no usable image{_first_reason(refused)}")
        rows = [row for shard in self.shards for row in read_rows(self.scratch / shard)]
        version = version_of(self.work.labels, rows)
        place = self.folder / version
        if not place.exists():
            manifest = self._manifest(version, rows, refused or Refused())
            _write(self.scratch / MANIFEST_FILE, manifest.model_dump_json(indent=2) + "\n")
            _sync_folder(self.scratch)
            self.scratch.rename(place)
            _sync_folder(self.folder)
        else:
            shutil.rmtree(self.scratch)
        point_latest(self.folder, version)
        return Dataset(place, DataManifest.model_validate_json((place / MANIFEST_FILE).read_bytes()))

    def _manifest(self, version: str, rows: list[Row], refused: Refused) -> DataManifest:
        return DataManifest(
            name=self.work.name,
            version=version,
            labels=list(self.work.labels),
            counts=tally(self.work.labels, iter(rows)),
            source=self.work.source,
            license=self.work.license,
            made=self.work.made,
            refused=refused,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            shards=self.shards,
        )


@contextmanager
def writing(root: Path, work: Work) -> Iterator[Writer]:
    """Opens a writer, alone on its data set; after an error its finished shards stay for the next try.

    Raises:
        DataError: another process is making a version of the same data set.
    """
    check_name(work.name)
    folder = root / work.name
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, work.name):
        scratch = folder / f".unfinished-{work.key}"
        for other in folder.glob(".unfinished-*"):
            if other != scratch:
                shutil.rmtree(other)
        scratch.mkdir(exist_ok=True)
        for torn in scratch.glob("*.unfinished"):
            torn.unlink()
        shards = sorted(path.name for path in scratch.glob("part-*.parquet"))
        state = read_state(scratch / shards[-1]) if shards else {}
        if shards and not state:  # the last shard of a finished work whose rename was cut off: cheap to write again
            (scratch / shards.pop()).unlink()
            state = read_state(scratch / shards[-1]) if shards else {}
        yield Writer(work, folder, scratch, shards, state)


def version_of(labels: tuple[str, ...], rows: list[Row]) -> str:
    """Returns the version of content: the order of the images does not count, nor where they came from."""
    digest = hashlib.sha256(json.dumps(labels).encode())
    for line in sorted(f"\n{row.id} {row.label} {row.split.value}" for row in rows):
        digest.update(line.encode())
    return digest.hexdigest()[:12]


def _first_reason(refused: Refused | None) -> str:
    return f"; {refused.count} refused, the first: {refused.examples[0]}" if refused and refused.examples else ""


def _write(path: Path, text: str) -> None:
    with path.open("wb") as file:
        file.write(text.encode())
        sync(file)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise DataError(f"another process is making a version of {name}; wait until it is done") from error
    finally:
        os.close(descriptor)
