"""Publishes a model version into a Triton model repository: whole, or not at all.

Readers may look at any moment (a service that re-reads manifests, Triton that loads a version), so each file appears by
a rename, and the manifest, which names a version's files, comes last.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from modelkit.gate import Passed
from modelkit.triton_config import render_config
from servicekit.manifest import (
    MANIFEST_FILE,
    Artifact,
    Manifest,
    Output,
    Recipe,
    Version,
    read_labels,
    read_manifest,
)

MODEL_FILE = "model.onnx"


class PublishError(ValueError):
    """Says why a version cannot be published."""


@dataclass(frozen=True)
class Card:
    """Is what all versions of a model share."""

    name: str
    title: str
    description: str
    license: str
    source: Mapping[str, str]
    input: Recipe
    output: Output
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Release:
    """Is one version: the model, and what is known about it."""

    version: str
    onnx: bytes
    lineage: Mapping[str, str] = field(default_factory=dict)
    accuracy: Mapping[str, float | int | str] = field(default_factory=dict)
    precision: Literal["fp32", "int8"] = "fp32"
    temperature: float = 1.0
    passed: Passed | None = None
    """The gate's word, without which nothing quantised is published."""


def model_card(folder: Path) -> Card:
    """Reads back the card of a published model.

    Raises:
        ManifestError: the manifest or the labels are missing or wrong.
    """
    manifest = read_manifest(folder)
    return Card(
        name=manifest.name,
        title=manifest.title,
        description=manifest.description,
        license=manifest.license,
        source=manifest.source,
        input=manifest.input,
        output=manifest.output,
        labels=read_labels(folder, manifest.output),
    )


def publish(repository: Path, card: Card, release: Release) -> Manifest:
    """Adds a version to a model, and the model to the repository if it is new.

    Publishing the same bytes again only refreshes what is said about them.

    Raises:
        PublishError: the version is no positive integer, the labels do not fit, the version holds another model, or a
            quantised model has not passed the gate.
    """
    _check(card, release)
    folder = repository / card.name
    folder.mkdir(parents=True, exist_ok=True)
    with _exclusive(folder):
        manifest = _manifest(card, release, read_manifest(folder) if (folder / MANIFEST_FILE).exists() else None)
        _place_version(folder, release)
        _replace(folder / "config.pbtxt", render_config(card.name, card.input, card.output))
        _replace(folder / card.output.labels, "".join(f"{label}\n" for label in card.labels))
        _replace(folder / MANIFEST_FILE, _to_json(manifest))
    return manifest


def set_default(repository: Path, name: str, version: str) -> Manifest:
    """Makes a published version the one that answers who names none.

    Raises:
        PublishError: the model has no such version.
        ManifestError: the manifest is missing or wrong.
    """
    folder = repository / name
    read_manifest(folder)
    with _exclusive(folder):
        manifest = read_manifest(folder)
        if version not in manifest.versions:
            raise PublishError(f"{name} has no version {version!r}; it has {', '.join(manifest.versions)}")
        chosen = manifest.model_copy(update={"default_version": version})
        _replace(folder / MANIFEST_FILE, _to_json(chosen))
    return chosen


def _check(card: Card, release: Release) -> None:
    if not (release.version.isascii() and release.version.isdigit() and not release.version.startswith("0")):
        raise PublishError(f"version {release.version!r} is not a positive integer, as Triton wants it")
    if len(card.labels) != card.output.classes:
        raise PublishError(f"{card.name} has {card.output.classes} classes but {len(card.labels)} labels")
    if release.precision != "fp32" and (release.passed is None or release.passed.sha256 != _sha256(release.onnx)):
        raise PublishError(f"version {release.version} is {release.precision}, and this file has not passed the gate")


def _manifest(card: Card, release: Release, before: Manifest | None) -> Manifest:
    artifact = Artifact(
        file=f"{release.version}/{MODEL_FILE}",
        format="onnx",
        precision=release.precision,
        sha256=_sha256(release.onnx),
    )
    version = Version(
        artifacts={"cpu": artifact},
        temperature=release.temperature,
        lineage=dict(release.lineage),
        accuracy=dict(release.accuracy),
    )
    return Manifest(
        schema_version=1,
        name=card.name,
        title=card.title,
        description=card.description,
        license=card.license,
        source=dict(card.source),
        input=card.input,
        output=card.output,
        versions={**(before.versions if before else {}), release.version: version},
        default_version=_default_version(release, before),
    )


def _default_version(release: Release, before: Manifest | None) -> str | None:
    """Keeps what answers unasked: a quantised version never takes over by being the newest."""
    if before is None or before.default_version is not None or release.precision == "fp32":
        return before.default_version if before else None
    return max((version for version in before.versions if version != release.version), key=int, default=None)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _place_version(folder: Path, release: Release) -> None:
    place = folder / release.version
    if place.exists():
        if (place / MODEL_FILE).read_bytes() != release.onnx:
            raise PublishError(f"{place} already holds another model: publish under a new version")
        return
    with _scratch(folder) as scratch:
        version = scratch / release.version
        version.mkdir()
        _write_durably(version / MODEL_FILE, release.onnx)
        version.rename(place)


def _replace(path: Path, text: str) -> None:
    with _scratch(path.parent) as scratch:
        _write_durably(scratch / path.name, text.encode())
        (scratch / path.name).replace(path)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _to_json(manifest: Manifest) -> str:
    return json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Lends a hidden folder on the same file system, where a rename is atomic."""
    scratch = Path(tempfile.mkdtemp(prefix=".publish-", dir=folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Holds off other publishers of the same model, on this machine, without leaving a lock file behind."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
