"""Removes versions that nobody needs: never the live one, never the newest few."""

import time
from dataclasses import dataclass
from pathlib import Path

from modelkit.publish import live_version
from modelkit.shelf import exclusive, remove_folder
from modelkit.signing.files import without_versions
from modelkit.signing.manifests import open_manifest, write_manifest
from modelkit.signing.signer import Signer
from servicekit.manifest import Manifest, read_manifest

GRACE_S = 5.0
"""Between a version's leaving the manifest, which keeps new requests from it, and its leaving the disk."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Is what a collection removed, or would remove."""

    versions: list[str]
    leftovers: list[str]
    """Version folders that no manifest names: of publishers, or collectors, that were killed."""


def collect(
    repository: Path,
    name: str,
    *,
    keep: int,
    dry_run: bool = False,
    grace_s: float = GRACE_S,
    signer: Signer | None = None,
) -> Removed:
    """Removes a model's versions but for the live one and the `keep` newest.

    First they leave the manifest, so that nobody asks for them any more, and only then the disk. Killed between the
    two, the next collection finds what is left.

    Raises:
        ManifestError: there is no such model.
        SignatureError: the model is signed and there is no signer, or the signer does not trust what is there.
    """
    folder = repository / name
    read_manifest(folder)
    with exclusive(folder):
        manifest = read_manifest(folder) if dry_run else open_manifest(folder, signer)
        removed = Removed(_too_old(manifest, keep), _leftovers(folder, manifest))
        if dry_run:
            return removed
        if removed.versions:
            kept = {number: each for number, each in manifest.versions.items() if number not in removed.versions}
            update = {"versions": kept, "files": without_versions(manifest.files, removed.versions)}
            write_manifest(folder, manifest.model_copy(update=update), signer)
            time.sleep(grace_s)
        for number in (*removed.versions, *removed.leftovers):
            if (folder / number).exists():
                remove_folder(folder / number)
    return removed


def _too_old(manifest: Manifest, keep: int) -> list[str]:
    newest_first = sorted(manifest.versions, key=int, reverse=True)
    kept = {live_version(manifest), *newest_first[:keep]}
    return [number for number in reversed(newest_first) if number not in kept]


def _leftovers(folder: Path, manifest: Manifest) -> list[str]:
    numbered = (path.name for path in folder.iterdir() if path.is_dir() and path.name.isdecimal())
    return sorted((number for number in numbered if number not in manifest.versions), key=int)
