"""Publishes a model version into a Triton model repository: whole, or not at all.

Readers may look at any moment (a service that re-reads manifests, Triton that loads a version), so each file appears by
a rename, and the manifest, which names a version's files, comes last.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from modelkit.gate import Passed
from modelkit.shelf import exclusive, place_folder, replace_file
from modelkit.signing.files import CONFIG_FILE, sha256_of
from modelkit.signing.manifests import open_manifest, write_manifest
from modelkit.signing.signer import Signer
from modelkit.triton_config import render_config
from servicekit.manifest import (
    MANIFEST_FILE,
    MODEL_NAME,
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
    passed: Passed
    """The gates' word for these very bytes."""
    lineage: Mapping[str, str] = field(default_factory=dict)
    accuracy: Mapping[str, float | int | str] = field(default_factory=dict)
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    temperature: float = 1.0
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Others that lie beside the model, such as its golden predictions."""


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
        labels=read_labels(folder, manifest),
    )


def publish(
    repository: Path, card: Card, release: Release, signer: Signer | None = None, *, keep_live: bool = False
) -> Manifest:
    """Adds a version to a model, and the model to the repository if it is new.

    Publishing the same bytes again only refreshes what is said about them.

    Args:
        repository: the model repository.
        card: what all versions of the model share.
        release: the version.
        signer: signs the manifest, here and below.
        keep_live: leave live what is live, so that an experiment may decide.

    Raises:
        SignatureError: the model is signed and there is no signer, or the signer does not trust what is there.
        PublishError: the version is no positive integer, the labels do not fit, the model has another input or other
            labels, the version holds another model, the file has not passed the gates, or nothing is live that could
            be kept so.
    """
    _check(card, release)
    folder = repository / card.name
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder):
        before = open_manifest(folder, signer) if (folder / MANIFEST_FILE).exists() else None
        _keep_promises(folder, card, before)
        if keep_live:
            before = _pinned(card, before)
        texts = _texts(card)
        manifest = _manifest(card, release, before, _files(release, texts, before))
        _place_version(folder, release, before)
        for name, text in texts.items():
            replace_file(folder / name, text)
        write_manifest(folder, manifest, signer)
    return manifest


def set_default(repository: Path, name: str, version: str, signer: Signer | None = None) -> Manifest:
    """Makes a published version the one that answers who names none.

    Raises:
        PublishError: the model has no such version.
        SignatureError: the model is signed and there is no signer, or the signer does not trust what is there.
        ManifestError: the manifest is missing or wrong.
    """
    folder = repository / name
    read_manifest(folder)
    with exclusive(folder):
        manifest = open_manifest(folder, signer)
        if version not in manifest.versions:
            raise PublishError(f"{name} has no version {version!r}; it has {', '.join(manifest.versions)}")
        chosen = manifest.model_copy(update={"default_version": version})
        write_manifest(folder, chosen, signer)
    return chosen


def live_version(manifest: Manifest) -> str:
    """Returns the version that answers requests that name none."""
    return manifest.default_version or max(manifest.versions, key=int)


def check_number(version: str) -> None:
    """Raises PublishError: the version is no positive integer."""
    if not (version.isascii() and version.isdigit() and not version.startswith("0")):
        raise PublishError(f"version {version!r} is not a positive integer, as Triton wants it")


def check_name(name: str) -> None:
    """Lets only a name pass that a model's folder and its manifest can have.

    Raises:
        PublishError: it has other characters, or too many.
    """
    if not re.fullmatch(MODEL_NAME, name):
        raise PublishError(
            f"the model's name {name!r}: up to 63 lower-case letters, digits, '_', '-' and '.', the first of them a "
            "letter or a digit"
        )


def _check(card: Card, release: Release) -> None:
    check_name(card.name)
    check_number(release.version)
    if len(card.labels) != card.output.classes:
        raise PublishError(f"{card.name} has {card.output.classes} classes but {len(card.labels)} labels")
    if release.passed.sha256 != sha256_of(release.onnx):
        raise PublishError(f"version {release.version}: this file has not passed the gates")


def _keep_promises(folder: Path, card: Card, before: Manifest | None) -> None:
    """Refuses what would change the meaning of versions that are out: all of a model share input and labels."""
    if before is None:
        return
    same = (before.input, before.output, read_labels(folder, before)) == (card.input, card.output, card.labels)
    if not same:
        raise PublishError(
            f"{card.name} is out with another input or other labels, which its versions share: choose another name"
        )


def _pinned(card: Card, before: Manifest | None) -> Manifest:
    """Returns the manifest with the live version named, which a newer one then does not replace."""
    if before is None:
        raise PublishError(f"{card.name} has no version yet that could stay live: publish the first one without that")
    return before.model_copy(update={"default_version": live_version(before)})


def _manifest(card: Card, release: Release, before: Manifest | None, files: dict[str, str]) -> Manifest:
    artifact = Artifact(
        file=f"{release.version}/{MODEL_FILE}",
        format="onnx",
        precision=release.precision,
        sha256=sha256_of(release.onnx),
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
        files=files,
    )


def _default_version(release: Release, before: Manifest | None) -> str | None:
    """Keeps what answers unasked: a quantised version never takes over by being the newest."""
    if before is None or before.default_version is not None or release.precision == "fp32":
        return before.default_version if before else None
    return max((version for version in before.versions if version != release.version), key=int, default=None)


def _texts(card: Card) -> dict[str, str]:
    """Returns the files that all versions share, by name."""
    return {
        CONFIG_FILE: render_config(card.name, card.input, card.output),
        card.output.labels: "".join(f"{label}\n" for label in card.labels),
    }


def _files(release: Release, texts: Mapping[str, str], before: Manifest | None) -> dict[str, str]:
    """Returns the hashes of all files but the models; those of a version that is out stay, as its files do."""
    out = before is not None and release.version in before.versions
    new = {} if out else {f"{release.version}/{name}": sha256_of(data) for name, data in release.files.items()}
    shared = {name: sha256_of(text.encode()) for name, text in texts.items()}
    return {**(before.files if before else {}), **shared, **new}


def _place_version(folder: Path, release: Release, before: Manifest | None) -> None:
    """Places a version; what a killed publisher left under its number, before any manifest named it, gives way."""
    place = folder / release.version
    if before is None or release.version not in before.versions:
        place_folder(place, {MODEL_FILE: release.onnx, **release.files})
    elif (place / MODEL_FILE).read_bytes() != release.onnx:
        raise PublishError(f"{place} already holds another model: publish under a new version")
