"""The files beside a manifest: their hashes are what a signature covers, since the manifest holds them."""

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

from modelkit.gate import GateError
from servicekit.manifest import Manifest

CONFIG_FILE = "config.pbtxt"


def sha256_of(data: bytes) -> str:
    """Returns the sha256 as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def published_bytes(path: Path, sha256: str) -> bytes:
    """Reads a file that was published.

    Raises:
        GateError: it is missing, or not the one that was published.
    """
    data = _bytes(path)
    found = sha256_of(data)
    if found != sha256:
        raise GateError(
            f"the file gate: {path} has changed since it was published: its sha256 begins with {found[:12]}, the "
            f"manifest's with {sha256[:12]}"
        )
    return data


def check_files(folder: Path, manifest: Manifest, versions: Collection[str]) -> int:
    """Looks whether the files of a model are as they were published, and returns how many were looked at.

    Args:
        folder: the model's.
        manifest: the model's.
        versions: whose files are looked at, beside those of the whole model.

    Raises:
        GateError: one is missing, or not the one that was published.
    """
    beside = {name: sha256 for name, sha256 in manifest.files.items() if _version_of(name) in {"", *versions}}
    models = {each.file: each.sha256 for number in versions for each in manifest.versions[number].artifacts.values()}
    for name, sha256 in (beside | models).items():
        published_bytes(folder / name, sha256)
    return len(beside | models)


def hashes_beside(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Returns the sha256 of every file that a manifest may list beside the models, by path inside the model's folder.

    Raises:
        GateError: the labels or the configuration are missing.
    """
    return {name: sha256_of(_bytes(folder / name)) for name in _beside(folder, manifest)}


def without_versions(files: dict[str, str], numbers: Collection[str]) -> dict[str, str]:
    """Returns the hashes but for those of the files of some versions."""
    return {name: sha256 for name, sha256 in files.items() if _version_of(name) not in numbers}


def _beside(folder: Path, manifest: Manifest) -> Iterator[str]:
    yield from (CONFIG_FILE, manifest.output.labels)
    for number, version in manifest.versions.items():
        models = {artifact.file for artifact in version.artifacts.values()}
        found = (f"{number}/{path.name}" for path in sorted((folder / number).glob("*")) if path.is_file())
        yield from (name for name in found if name not in models)


def _version_of(name: str) -> str:
    """Returns the version whose folder a file lies in; empty for a file of the whole model."""
    return name.partition("/")[0] if "/" in name else ""


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GateError(f"the file gate: {path} cannot be read: {error.strerror}") from error
