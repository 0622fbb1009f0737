"""Replaces manifests: a signature is never lost by the way, and never given to words that nobody vouched for."""

import json
from pathlib import Path

from pydantic import BaseModel

from modelkit.shelf import exclusive, replace_file
from modelkit.signing.files import check_files, hashes_beside
from modelkit.signing.signer import Signer
from servicekit.manifest import MANIFEST_FILE, Manifest, read_manifest
from servicekit.signatures import SignatureError


def open_manifest(folder: Path, signer: Signer | None) -> Manifest:
    """Reads a manifest that shall be replaced.

    Raises:
        SignatureError: it is signed, and nobody would sign it again; or it would be signed, and what is there is not,
            or by a stranger.
        ManifestError: it is missing or wrong.
    """
    manifest = read_manifest(folder)
    signature = manifest.signature
    if signer is None and signature is not None:
        raise SignatureError(
            f"{folder / MANIFEST_FILE} is signed by the key {signature.key_id}, and would not be any more: name a "
            "private key with --signing-key or TRIPTYCH_SIGNING_KEY"
        )
    if signer is None:
        return manifest
    if signature is None:
        raise SignatureError(
            f"{folder / MANIFEST_FILE} is not signed, so anybody may have written it: look at it, then "
            f"`triptych model sign {folder.name}` signs what is there"
        )
    return read_manifest(folder, signer.trusted.check)


def write_manifest(folder: Path, manifest: Manifest, signer: Signer | None) -> None:
    """Writes a model's manifest, whole or not at all, and signs it where there is a signer."""
    replace_file(folder / MANIFEST_FILE, manifest_text(manifest, signer))


def manifest_text(manifest: BaseModel, signer: Signer | None) -> str:
    """Returns a manifest, of a model or of an engine, as it is written: signed where there is a signer."""
    document = manifest.model_dump(mode="json", exclude={"signature"})
    if signer is not None:
        document["signature"] = signer.sign(document).model_dump()
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n"


def sign_model(repository: Path, name: str, signer: Signer) -> Manifest:
    """Signs what is there: the first signature of a model, or that of another key.

    Raises:
        GateError: a file is not the one that the manifest names.
        SignatureError: the manifest is signed by a stranger, or was changed after it was signed.
        ManifestError: it is missing or wrong.
    """
    folder = repository / name
    read_manifest(folder)
    with exclusive(folder):
        signed = read_manifest(folder).signature is not None
        manifest = read_manifest(folder, signer.trusted.check if signed else None)
        files = hashes_beside(folder, manifest) | manifest.files  # what was promised before counts
        manifest = manifest.model_copy(update={"files": files})
        check_files(folder, manifest, manifest.versions)
        write_manifest(folder, manifest, signer)
    return manifest
