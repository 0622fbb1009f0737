"""Imports a source as a data set version; goes on where an import that was killed left off."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from modelkit.data.manifest import Made, Refused
from modelkit.data.records import (
    MAX_LABELS,
    MAX_NAME_CHARACTERS,
    NO_LABEL,
    Broken,
    DataError,
    Item,
    Record,
    Split,
    Track,
    image_id,
    untracked,
)
from modelkit.data.sources import SourceFormat, detect, open_source
from modelkit.data.sources.source import Source
from modelkit.data.store import Dataset
from modelkit.data.writing import Work, Writer, writing
from servicekit.errors import InvalidArgument
from services.preprocess.headers import Limits, read_header

_EXAMPLES = 100
_MAX_LABELS_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Import:
    """Says what to import and as what."""

    name: str
    path: Path
    format: SourceFormat | None = None
    """None finds it out."""
    labels: Path | None = None
    """File with the names of the labels, one a line, in the order of their numbers; None takes those of the source."""
    license: str = "unknown"


@dataclass(slots=True)
class _Refusals:
    """Counts what cannot be used."""

    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, broken: Broken) -> None:
        self.reasons[_kind(broken.reason)] += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{broken.source}: {broken.reason}"[:500])

    def state(self, consumed: int) -> dict[str, Any]:
        """Returns what an import that goes on after so many items has to know."""
        return {"consumed": consumed, "reasons": dict(self.reasons), "examples": list(self.examples)}

    def told(self) -> Refused:
        return Refused(count=self.reasons.total(), reasons=dict(self.reasons), examples=list(self.examples))


def import_dataset(root: Path, plan: Import, track: Track = untracked) -> Dataset:
    """Imports a source.

    An image that serving would refuse by its header is refused here, too, and counted; images that turn out damaged
    when they are decoded are found by `data clean`.

    Raises:
        DataError: the source cannot be read at all, has no usable image, or there are too many labels.
    """
    form = plan.format or detect(plan.path) if plan.path.exists() else plan.format
    source = open_source(plan.path, form)
    names = _names(plan.labels) if plan.labels else source.labels
    _check_names(names, plan.labels or plan.path)
    made = Made(command="import", parameters={"path": plan.path.name, "format": form and form.value})
    work = Work(plan.name, names, plan.path.name, plan.license, made, fingerprint=_fingerprint(source))
    with writing(root, work) as writer:
        refusals = _read(source, names, writer, track)
        return writer.finish(refusals.told())


def _read(source: Source, names: tuple[str, ...], writer: Writer, track: Track) -> _Refusals:
    known = {name: index for index, name in enumerate(names)}
    consumed = int(writer.state.get("consumed", 0))
    refusals = _Refusals(Counter(writer.state.get("reasons", {})), list(writer.state.get("examples", [])))
    for index, item in enumerate(track(source.items(), "import", source.total), start=1):
        if index <= consumed:
            continue
        usable = item if isinstance(item, Broken) else _placed(item, known)
        if isinstance(usable, Broken):
            refusals.add(usable)
        else:
            writer.add(*usable, partial(refusals.state, index))
    return refusals


def _placed(item: Item, known: Mapping[str, int]) -> tuple[Record, Split] | Broken:
    label = _label(item.label, known)
    if label is None:
        return Broken(
            item.source, f"label {str(item.label)[:MAX_NAME_CHARACTERS]!r} is none of the {len(known)} labels"
        )
    try:
        read_header(item.image, Limits())
    except InvalidArgument as error:
        return Broken(item.source, str(error))
    return Record(image_id(item.image), item.image, label, item.source), item.split or Split.TRAIN


def _label(name: str | None, known: Mapping[str, int]) -> int | None:
    """Returns a label's index; a number that is no name is taken for the index itself."""
    if name is None:
        return NO_LABEL
    if name in known:
        return known[name]
    return int(name) if name.isdecimal() and len(name) < 10 and int(name) < len(known) else None


def _names(file: Path) -> tuple[str, ...]:
    try:
        if file.stat().st_size > _MAX_LABELS_BYTES:
            raise DataError(f"{file} is longer than {_MAX_LABELS_BYTES} bytes, the limit of a file of labels")
        return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: the names of the labels cannot be read: {error}") from error


def _check_names(names: tuple[str, ...], where: Path) -> None:
    if len(names) > MAX_LABELS:
        raise DataError(f"{where} has {len(names)} labels; the limit is {MAX_LABELS}")
    if len(set(names)) < len(names):
        raise DataError(f"{where} names a label twice: {Counter(names).most_common(1)[0][0]!r}")
    for name in names:
        if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
            raise DataError(f"{where}: label {name[:40]!r}: up to {MAX_NAME_CHARACTERS} printable characters")


def _fingerprint(source: Source) -> str:
    digest = hashlib.sha256()
    for file in source.files:
        status = file.lstat()
        digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _kind(reason: str) -> str:
    """Cuts a reason down to what many share: numbers and names come after the first few words."""
    return " ".join("N" if any(c.isdecimal() for c in word) else word for word in reason.partition(":")[0].split())[
        :120
    ]
