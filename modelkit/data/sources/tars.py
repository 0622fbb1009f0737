"""WebDataset archives: files of one sample share a name up to the first dot: `0001.jpg` and `0001.cls` or `0001.json`.

Nothing is ever extracted to disk.
"""

import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelkit.data.records import MAX_IMAGES, Broken, Item, Split, label_order, split_named
from modelkit.data.sources.source import MAX_IMAGE_BYTES, Source, files_of

MAX_MEMBERS = 4 * MAX_IMAGES
MAX_LABEL_BYTES = 2**20
"""Of a .cls or .json file, and of a header that gives a long name."""
MAX_ARCHIVE_BYTES = 2**40
"""Of all members together, uncompressed."""
_IMAGES = {"jpg", "jpeg", "png", "webp", "gif", "bmp"}
_LABELS = {"cls", "json", "txt"}
_DAMAGE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)
_EXTENDED = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}


class _Member(tarfile.TarInfo):
    """Is a member whose extended headers have a bounded size: the library reads them whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENDED and member.size > MAX_LABEL_BYTES:
            raise tarfile.ReadError(f"an extended header has {member.size} bytes; the limit is {MAX_LABEL_BYTES}")
        return member


@dataclass(frozen=True, slots=True)
class _Part:
    """Is one file of a sample."""

    key: str
    kind: str
    content: bytes | None
    """None if it cannot be used."""


@dataclass(slots=True)
class _Sample:
    """Is what was read of one sample."""

    key: str
    image: bytes | None = None
    label: str | None = None
    damaged: bool = False


def read_tars(path: Path) -> Source:
    """Reads a tar file, or those of a folder, whose names say the split; also compressed with gzip, bzip2 or xz.

    Raises:
        DataError: a folder holds no tar file.
    """
    files = files_of(path, "*.tar", "*.tar.gz", "*.tgz")
    labels = {sample.label for file in files for sample in _samples(file, images=False) if isinstance(sample, _Sample)}
    return Source(
        labels=label_order(label for label in labels if label is not None),
        items=lambda: (item for file in files for item in _items(file)),
        files=tuple(files),
    )


def _items(file: Path) -> Iterator[Item | Broken]:
    split = split_named(file.name.split(".")[0].split("-")[0])
    for sample in _samples(file, images=True):
        if isinstance(sample, Broken):
            yield sample
        elif sample.image is not None and not sample.damaged:
            yield Item(sample.image, sample.label, _own_split(file, split), f"{file.name}#{sample.key}")
        elif not sample.damaged:
            yield Broken(f"{file.name}#{sample.key}", "the sample has a label and no image")


def _own_split(file: Path, split: Split | None) -> Split | None:
    return split or split_named(file.parent.name)


def _samples(file: Path, *, images: bool) -> Iterator[_Sample | Broken]:
    """Reads samples in order; a damaged archive ends early and says so.

    Args:
        file: the archive.
        images: whether to read the images, not just labels.
    """
    sample: _Sample | None = None
    for part in _parts(file, _IMAGES | _LABELS if images else _LABELS):
        if isinstance(part, Broken):
            yield part
            continue
        if sample is None or sample.key != part.key:
            if sample:
                yield sample
            sample = _Sample(part.key)
        if part.content is None:
            sample.damaged = True
        else:
            _take(sample, part.kind, part.content)
    if sample:
        yield sample


def _parts(file: Path, kinds: set[str]) -> Iterator[_Part | Broken]:
    members = size = 0
    try:
        with tarfile.open(file, mode="r|*", tarinfo=_Member) as archive:
            for member in archive:
                members, size = members + 1, size + member.size
                if members > MAX_MEMBERS or size > MAX_ARCHIVE_BYTES:
                    yield Broken(file.name, f"the archive has over {MAX_MEMBERS} members or {MAX_ARCHIVE_BYTES} bytes")
                    return
                key, kind = _key(member.name)
                problem = _problem(member, kind)
                if problem:
                    yield Broken(f"{file.name}#{member.name}", problem)
                if kind in kinds and not member.isdir():
                    yield _Part(key, kind, None if problem else _content(archive, member))
    except _DAMAGE as error:
        yield Broken(file.name, f"the archive is damaged: {error}")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    content = stream.read() if stream else b""
    if len(content) < member.size:
        raise tarfile.ReadError(f"{member.name} is cut off")
    return content


def _take(sample: _Sample, kind: str, content: bytes) -> None:
    if kind in _IMAGES:
        sample.image = content
    elif kind == "json":
        sample.label = _json_label(content) or sample.label
    elif kind == "cls" or sample.label is None:  # .txt is often a caption: .cls says more
        sample.label = content.decode("utf-8", errors="replace").strip() or None


def _json_label(content: bytes) -> str | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    value = (
        next((document[key] for key in ("label", "cls", "class") if key in document), None)
        if isinstance(document, dict)
        else document
    )
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _problem(member: tarfile.TarInfo, kind: str) -> str | None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        return "the name leads out of the archive"
    if member.isdir():
        return None
    if not member.isfile():
        return "a link or a device, no file"
    limit = MAX_LABEL_BYTES if kind in _LABELS else MAX_IMAGE_BYTES
    return f"the file has {member.size} bytes; the limit is {limit}" if member.size > limit else None


def _key(name: str) -> tuple[str, str]:
    """Splits a name at the first dot of its last part; the extension is the text after the last one."""
    folder, _, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return (f"{folder}/{stem}" if folder else stem), extension.rpartition(".")[2].lower()
