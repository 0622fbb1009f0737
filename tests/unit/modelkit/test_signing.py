"""Signing: what is published is signed again at each change, and nobody signs what a stranger wrote."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from fakes.signatures import signer, write_trusted
from releases import CARD, ONE, TWO

from modelkit.gate import GateError
from modelkit.publish import publish, set_default
from modelkit.release.retention import collect
from modelkit.signing.keys import new_key, public_of, read_key
from modelkit.signing.manifests import sign_model
from modelkit.signing.signer import Signer, signer_of
from servicekit.manifest import Manifest, ManifestError, read_labels, read_manifest
from servicekit.signatures import SignatureError

ME, OTHER = signer(1), signer(2)
BOTH = signer(2, ME)
"""The key of `OTHER`, who takes over what I signed."""

CHANGES: dict[str, Callable[[Path, Signer | None], object]] = {
    "publish": lambda root, by: publish(root, CARD, replace(TWO, version="3"), by),
    "publish again": lambda root, by: publish(root, CARD, ONE, by),
    "default": lambda root, by: set_default(root, "shapes", "1", by),
    "gc": lambda root, by: collect(root, "shapes", keep=1, grace_s=0, signer=by),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns a repository with two versions of a model, signed by me."""
    for release in (ONE, TWO):
        publish(tmp_path / "models", CARD, release, ME)
    return tmp_path / "models"


def text(root: Path) -> str:
    """Returns the manifest as it is on the disk."""
    return (root / "shapes" / "manifest.json").read_text()


def trusted_by(root: Path, who: Signer) -> Manifest:
    """Returns the manifest that services read who trust this publisher and those whom he trusts."""
    return read_manifest(root / "shapes", who.trusted.check)


def test_a_signature_covers_every_file(root: Path) -> None:
    """The manifest that is signed has the sha256 of all that lies in the model's folder."""
    manifest = trusted_by(root, ME)
    models = {each.file for version in manifest.versions.values() for each in version.artifacts.values()}
    found = {str(path.relative_to(root / "shapes")) for path in (root / "shapes").rglob("*") if path.is_file()}
    assert {*manifest.files, *models} == found - {"manifest.json"}
    assert {"labels.txt", "config.pbtxt", "1/golden.json", "2/golden.json"} == set(manifest.files)


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_signed(root: Path, change: str) -> None:
    """Whatever rewrites a manifest signs it again."""
    before = text(root)
    CHANGES[change](root, ME)
    assert trusted_by(root, ME).files
    assert (change == "publish again") == (before == text(root))  # the same content has the same signature


@pytest.mark.parametrize("change", CHANGES)
def test_no_signature_is_lost(root: Path, change: str) -> None:
    """Without a key a signed model stays as it is, and the error says what is missing."""
    before = text(root)
    with pytest.raises(SignatureError, match=f"is signed by the key {ME.public.id}, .*--signing-key"):
        CHANGES[change](root, None)
    assert before == text(root)


@pytest.mark.parametrize("change", CHANGES)
def test_nobody_signs_what_a_stranger_wrote(root: Path, change: str) -> None:
    """A manifest that was changed by hand, signed by an unknown key or not at all, is not made good by a publisher."""
    tampered = json.loads(text(root)) | {"title": "Better shapes"}
    unsigned = {key: value for key, value in tampered.items() if key != "signature"}
    for content, words in (
        (tampered, "`signature.value`"),
        (unsigned, "is not signed, so anybody may have written it"),
    ):
        (root / "shapes" / "manifest.json").write_text(json.dumps(content))
        with pytest.raises(SignatureError, match=words):
            CHANGES[change](root, ME)
    CHANGES["default"](root, None)
    sign_model(root, "shapes", OTHER)
    with pytest.raises(SignatureError, match="none of the trusted keys"):
        CHANGES[change](root, ME)


def test_another_key_takes_over(root: Path) -> None:
    """Once it trusts the old one, which is then no longer needed."""
    with pytest.raises(SignatureError, match="none of the trusted keys"):
        sign_model(root, "shapes", OTHER)
    sign_model(root, "shapes", BOTH)
    assert {"1", "2"} == set(trusted_by(root, OTHER).versions)


def test_what_is_gone_is_not_listed(root: Path) -> None:
    """With a version its files leave the manifest."""
    collect(root, "shapes", keep=1, grace_s=0, signer=ME)
    assert {"labels.txt", "config.pbtxt", "2/golden.json"} == set(trusted_by(root, ME).files)


def test_signing_takes_in_what_is_there(tmp_path: Path) -> None:
    """A model that was published before there were keys, or lists of files, is signed with all its files."""
    publish(tmp_path, CARD, ONE)
    file = tmp_path / "shapes" / "manifest.json"
    old = {key: value for key, value in json.loads(file.read_text()).items() if key != "files"}
    file.write_text(json.dumps(old))
    sign_model(tmp_path, "shapes", ME)
    assert {"labels.txt", "config.pbtxt", "1/golden.json"} == set(trusted_by(tmp_path, ME).files)


@pytest.mark.parametrize("name", ["1/model.onnx", "1/golden.json", "labels.txt", "config.pbtxt"])
def test_only_what_was_published_is_signed(root: Path, name: str) -> None:
    """A file that has changed since is not taken in."""
    (root / "shapes" / name).write_bytes(b"other")
    with pytest.raises(GateError, match=rf"{name} has changed since it was published"):
        sign_model(root, "shapes", ME)


def test_other_labels_are_not_published_over(root: Path) -> None:
    """Labels that somebody has changed are neither served nor signed with the next version."""
    (root / "shapes" / "labels.txt").write_text("b\na\n")
    with pytest.raises(ManifestError, match=r"labels\.txt is not the file that was published"):
        CHANGES["publish"](root, ME)
    with pytest.raises(ManifestError, match=r"labels\.txt is not the file that was published"):
        read_labels(root / "shapes", trusted_by(root, ME))


def test_a_key_is_its_owners(tmp_path: Path) -> None:
    """Nobody else can read it, and it signs what its public half verifies."""
    file = tmp_path / "keys" / "signing.pem"
    public = new_key(file)
    assert 0o600 == file.stat().st_mode & 0o777
    assert public == public_of(read_key(file))
    assert f"ed25519 {public.raw.hex()} {public.id}" == public.line


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    """What was signed with a key that is gone could never be signed again."""
    file = tmp_path / "signing.pem"
    new_key(file)
    before = file.read_bytes()
    with pytest.raises(SignatureError, match="exists already"):
        new_key(file)
    assert before == file.read_bytes()


def pem(
    key: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey | ed25519.Ed25519PrivateKey, word: bytes = b""
) -> bytes:
    """Returns a private key as it lies in a file."""
    encryption: KeySerializationEncryption = BestAvailableEncryption(word) if word else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"ed25519 00", "is no private key in PEM"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "is no Ed25519 key"),
        (pem(ed448.Ed448PrivateKey.generate()), "is no Ed25519 key"),
        (pem(ed25519.Ed25519PrivateKey.generate(), b"word"), "is encrypted"),
    ],
    ids=["missing", "no PEM", "P-256", "Ed448", "encrypted"],
)
def test_only_a_whole_ed25519_key_signs(tmp_path: Path, content: bytes | None, words: str) -> None:
    """Another algorithm, a password or rubbish ends with a sentence."""
    file = tmp_path / "signing.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SignatureError, match=words):
        signer_of(file)


def test_a_key_that_nobody_trusts_signs_nothing(tmp_path: Path) -> None:
    """Where the trusted keys are known, one that is not among them is refused before it does harm."""
    file = tmp_path / "signing.pem"
    new_key(file)
    with pytest.raises(SignatureError, match="nobody who trusts those keys would take what it signs"):
        signer_of(file, write_trusted(tmp_path / "trusted", ME))
    assert signer_of(None, tmp_path / "nowhere") is None
