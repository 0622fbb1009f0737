"""`triptych model key`, `sign` and the keys of the other commands, as a user types them."""

from pathlib import Path

import pytest
from fakes.signatures import signer, write_trusted
from releases import CARD, ONE, TWO
from typer.testing import CliRunner, Result

from modelkit.cli import app
from modelkit.publish import live_version, publish
from servicekit.manifest import Manifest, read_manifest
from servicekit.signatures import checking

Keys = tuple[Path, Path]
"""A private key, and a file of trusted keys with its public half."""


def command(*words: object, **variables: Path) -> Result:
    """Runs `triptych model ...`."""
    environment = {f"TRIPTYCH_{name.upper()}": str(value) for name, value in variables.items()}
    return CliRunner(env={"COLUMNS": "200", **environment}).invoke(app, [str(word) for word in words])


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Makes a pair of keys as a user does."""
    key, trusted = tmp_path / "signing.pem", tmp_path / "trusted"
    trusted.write_text(command("key", "new", "--out", key).stdout)
    return key, trusted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns a repository with two versions of a model, unsigned."""
    for release in (ONE, TWO):
        publish(tmp_path / "models", CARD, release)
    return tmp_path / "models"


def vouched(root: Path, trusted: Path) -> Manifest:
    """Returns the manifest as services read it."""
    return read_manifest(root / "shapes", checking(trusted))


def test_a_new_key_is_told(keys: Keys) -> None:
    """What is printed is a whole file of trusted keys; `show` prints it again, and nothing is overwritten."""
    key, trusted = keys
    assert trusted.read_text() == command("key", "show", key).stdout
    again = command("key", "new", "--out", key)
    assert (1, True) == (again.exit_code, "exists already" in again.output)


def test_a_model_is_signed_and_stays_so(root: Path, keys: Keys) -> None:
    """Signed once, it is signed at each change, by a word or by the environment, and refused without a key."""
    key, trusted = keys
    place = ("--repository", root)
    assert "versions 1, 2 are signed by" in command("sign", "shapes", "--signing-key", key, *place).output
    refused = command("default", "shapes", "1", *place)
    assert (1, True) == (refused.exit_code, "--signing-key or TRIPTYCH_SIGNING_KEY" in refused.output)
    assert 0 == command("default", "shapes", "1", "--signing-key", key, *place).exit_code
    assert "1" == live_version(vouched(root, trusted))
    assert 0 == command("default", "shapes", "2", *place, signing_key=key, trusted_keys=trusted).exit_code
    assert "2" == live_version(vouched(root, trusted))
    assert 1 == command("gc", "shapes", "--keep", "1", *place).exit_code


def test_a_wrong_key_is_told(root: Path, keys: Keys, tmp_path: Path) -> None:
    """Each command that signs ends with a sentence, and changes nothing."""
    key, _ = keys
    before = (root / "shapes" / "manifest.json").read_bytes()
    strangers = write_trusted(tmp_path / "strangers", signer(9))
    for words in (["sign", "shapes"], ["default", "shapes", "1"], ["rollback", "shapes"], ["gc", "shapes"]):
        for variables in ({"signing_key": strangers}, {"signing_key": key, "trusted_keys": strangers}):
            answer = command(*words, "--repository", root, **variables)
            assert (1, True) == (answer.exit_code, answer.output.startswith("error: ")), answer.output
    assert 2 == command("sign", "shapes", "--repository", root).exit_code
    assert before == (root / "shapes" / "manifest.json").read_bytes()
