"""What a repository holds: which version is live, what each one is, how two differ, and the way back."""

from dataclasses import dataclass
from pathlib import Path

from modelkit.publish import PublishError, live_version, set_default
from modelkit.release.golden import check_golden
from modelkit.signing.files import check_files, published_bytes
from modelkit.signing.signer import Signer
from servicekit.manifest import MANIFEST_FILE, Check, Manifest, Version, read_labels, read_manifest, read_repository


def next_version(folder: Path, sha256: str) -> str:
    """Returns the number for a file: that of the version which holds it already, else one that was never used.

    Raises:
        ManifestError: the manifest is wrong.
    """
    if not (folder / MANIFEST_FILE).exists():
        return "1"
    versions = read_manifest(folder).versions
    same = [number for number, version in versions.items() if version.artifacts["cpu"].sha256 == sha256]
    return same[0] if same else str(max(map(int, versions)) + 1)


def find_version(repository: Path, name: str, version: str = "", check: Check | None = None) -> tuple[Manifest, str]:
    """Returns a model's manifest and one of its versions; the live one when none is named.

    Args:
        repository: the model repository.
        name: the model.
        version: the version.
        check: says whether to trust the manifest.

    Raises:
        ManifestError: the model's manifest is wrong, or not to be trusted.
        PublishError: there is no such model, or it has no such version.
    """
    if not (repository / name / MANIFEST_FILE).exists():
        known = ", ".join(sorted(path.parent.name for path in repository.glob(f"*/{MANIFEST_FILE}"))) or "none"
        raise PublishError(f"{repository} has no model {name!r}; it has {known}")
    manifest = read_manifest(repository / name, check)
    chosen = version or live_version(manifest)
    if chosen not in manifest.versions:
        raise PublishError(f"{name} has no version {chosen!r}; it has {', '.join(manifest.versions)}")
    return manifest, chosen


def model_bytes(folder: Path, manifest: Manifest, version: str) -> bytes:
    """Reads a published ONNX file.

    Raises:
        GateError: it is missing, or not the file that was published.
    """
    artifact = manifest.versions[version].artifacts["cpu"]
    return published_bytes(folder / artifact.file, artifact.sha256)


@dataclass(frozen=True, slots=True)
class Row:
    """Is one version in a list."""

    model: str
    number: str
    live: bool
    version: Version
    size: int
    """Bytes."""


def list_versions(repository: Path) -> list[Row]:
    """Lists every version of every model, the newest first.

    Raises:
        ManifestError: there is no model, or a manifest is wrong.
    """
    rows = []
    for name, manifest in read_repository(repository).items():
        for number in sorted(manifest.versions, key=int, reverse=True):
            version = manifest.versions[number]
            file = repository / name / version.artifacts["cpu"].file
            size = file.stat().st_size if file.exists() else 0
            rows.append(Row(name, number, number == live_version(manifest), version, size))
    return rows


def rollback(repository: Path, name: str, to: str = "", signer: Signer | None = None) -> tuple[str, str]:
    """Makes an older version live, once its files and its golden predictions are found as they were published.

    Args:
        repository: the model repository.
        name: the model.
        to: the version; by default the one before the live one.
        signer: signs the manifest.

    Returns:
        The version that was live, and the one that is now.

    Raises:
        GateError: one of that version's files is damaged, or the model answers otherwise here.
        ManifestError: there is no such model.
        PublishError: there is no such version, or none before the live one.
        SignatureError: the model is signed and there is no signer, or the signer does not trust what is there.
    """
    manifest, live = find_version(repository, name)
    before = max((number for number in manifest.versions if int(number) < int(live)), key=int, default="")
    chosen = to or before
    if not chosen:
        raise PublishError(f"{name} has no version before {live}, which is live; it has {', '.join(manifest.versions)}")
    find_version(repository, name, chosen)
    check_version(repository / name, manifest, chosen)
    set_default(repository, name, chosen, signer)
    return live, chosen


def check_version(folder: Path, manifest: Manifest, version: str) -> int:
    """Looks whether a version is as it was published, and returns how many golden predictions it repeated.

    Raises:
        GateError: one of its files, or of the whole model's, is damaged, or the model answers otherwise here.
    """
    golden = check_golden(folder / version, model_bytes(folder, manifest, version), manifest.input)
    check_files(folder, manifest, [version])
    return golden


def differences(repository: Path, one: tuple[str, str], other: tuple[str, str]) -> list[tuple[str, str, str]]:
    """Returns what differs between two versions, each a model and a number: name, first value, second value.

    Raises:
        ManifestError: there is no such model.
        PublishError: there is no such version.
    """
    sides = [_facts(repository, *each) for each in (one, other)]
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    pairs = ((name, sides[0].get(name, "-"), sides[1].get(name, "-")) for name in names)
    return [(name, a, b) for name, a, b in pairs if a != b]


def _facts(repository: Path, name: str, number: str) -> dict[str, str]:
    manifest, chosen = find_version(repository, name, number)
    version = manifest.versions[chosen]
    artifact = version.artifacts["cpu"]
    labels = read_labels(repository / name, manifest)
    return {
        "precision": artifact.precision,
        "sha256": artifact.sha256[:12],
        "bytes": str((repository / name / artifact.file).stat().st_size),
        "temperature": f"{version.temperature:g}",
        "input": f"{manifest.input.width}x{manifest.input.height}, crop {manifest.input.crop:g}",
        "labels": f"{len(labels)}: {', '.join(labels[:3])}, ...",
        **{name: str(value) for name, value in version.accuracy.items()},
        **{f"lineage: {name}": value for name, value in version.lineage.items()},
    }
