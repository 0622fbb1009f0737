"""Signatures of plans: `build-engine` and `verify-engines` with keys, as a user types them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine_bench import CARD, NAME, OTHERS, Bench
from fakes.signatures import signed, signer, write_trusted
from fakes.tensorrt import FakeTensorRT
from releases import release
from typer.testing import Result

from modelkit.publish import publish
from modelkit.signing.keys import new_key, read_key
from modelkit.signing.manifests import sign_model
from modelkit.signing.signer import Signer
from modelkit.tensorrt.manifest import EngineError, EngineManifest
from modelkit.tensorrt.store import EngineStore
from servicekit.signatures import read_trusted_keys

STRANGER = signer(9)


def _signer(key: Path) -> Signer:
    new_key(key)
    return Signer(read_key(key))


class Vault:
    """Is a bench with a model that is signed, and a private key."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.key, self.trusted = bench, folder / "signing.pem", folder / "trusted"
        self.me = _signer(self.key)
        write_trusted(self.trusted, self.me)
        sign_model(bench.repository, NAME, self.me)
        bench.add_gpu()

    def build(self, *more: str) -> Result:
        """Builds with the private key."""
        return self.bench.run("--signing-key", str(self.key), *more)

    def verify(self) -> Result:
        """Asks for signatures."""
        return self.bench.verify("--trusted-keys", str(self.trusted))

    @property
    def folder(self) -> Path:
        """Returns where the one plan lies."""
        (folder,) = self.bench.engines.iterdir()
        return folder

    def manifest(self) -> dict[str, Any]:
        """Reads the manifest of the one plan."""
        content: dict[str, Any] = json.loads((self.folder / "manifest.json").read_bytes())
        return content

    def write(self, manifest: dict[str, Any]) -> None:
        """Writes the manifest of the one plan."""
        (self.folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def vault(bench: Bench, tmp_path: Path, tensorrt: FakeTensorRT) -> Vault:
    """Has one plan, which is signed."""
    vault = Vault(bench, tmp_path)
    done = vault.build()
    assert (0, "") == (done.exit_code, done.stderr)
    return vault


def test_a_plan_is_signed(vault: Vault) -> None:
    """Both commands say by whom."""
    by = f"signed by the trusted key {vault.me.public.id}"
    assert "signature" in vault.manifest()
    assert f"is built already, {by}" in vault.build().stdout
    assert f"shapes 1, tensorrt 11.4.0.106, NVIDIA L4 8.9, as built, {by}" in vault.verify().stdout


FIELDS = {
    **OTHERS,
    "key": "0",
    "model": "others",
    "version": "2",
    "plan_sha256": "2" * 64,
    "driver": "1",
    "build_seconds": 9.0,
}


def test_a_signature_covers_every_field(vault: Vault) -> None:
    """Whatever is changed after that is found, and there is no field that is not tried here."""
    assert {*FIELDS} == {*EngineManifest.model_fields} - {"schema_version", "signature"}
    store, whole = EngineStore(vault.bench.engines, vault.me), vault.manifest()
    for field, value in FIELDS.items():
        vault.write(whole | {field: value})
        with pytest.raises(EngineError, match=r"is not trusted: `signature\.value` is not what the key"):
            store.find(whole["key"])


def _flip(vault: Vault) -> None:
    plan = vault.folder / "model.plan"
    data = bytearray(plan.read_bytes())
    data[0] ^= 1
    plan.write_bytes(data)


def _unsign(vault: Vault) -> None:
    vault.write({field: value for field, value in vault.manifest().items() if field != "signature"})


TAMPERING: dict[str, tuple[Callable[[Vault], None], str]] = {
    "a byte of the plan": (_flip, "model.plan is not the plan that was built"),
    "a field": (lambda vault: vault.write(vault.manifest() | {"driver": "1"}), "`signature.value` is not what the key"),
    "a stranger": (lambda vault: vault.write(signed(vault.manifest(), STRANGER)), f"is {STRANGER.public.id}, which is"),
    "no signature": (_unsign, "`signature` is missing: nobody has signed it"),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_what_was_tampered_with_is_told_and_built_again(vault: Vault, tensorrt: FakeTensorRT, what: str) -> None:
    """`verify-engines` refuses it, and `build-engine` says in one line why it does not count."""
    tamper, says = TAMPERING[what]
    tamper(vault)
    refused = vault.verify()
    assert 1 == refused.exit_code
    assert says in refused.stderr
    assert refused.stderr.endswith(f"error: 1 of 1 plans in {vault.bench.engines} must not be used\n")
    again = vault.build()
    assert (1, True) == (again.stderr.count("\n"), says in again.stderr)
    assert "built in" in again.stdout
    assert 2 == len(tensorrt.builds)
    assert 0 == vault.verify().exit_code


def test_without_keys_a_signature_is_not_looked_at(vault: Vault) -> None:
    """A signed plan counts, and `verify-engines` says what it did not look at."""
    assert "is built already\n" in vault.bench.run().stdout
    done = vault.bench.verify()
    assert (0, True) == (done.exit_code, "note: without --trusted-keys" in done.stderr)


@pytest.mark.parametrize("asked", [True, False], ids=["trusted keys", "no keys"])
def test_no_signature_is_lost(vault: Vault, tensorrt: FakeTensorRT, asked: bool) -> None:
    """Who has no private key can use a plan, and builds none that others would refuse."""
    words = ("--trusted-keys", str(vault.trusted)) if asked else ()
    assert "is built already" in vault.bench.run(*words).stdout
    _flip(vault)
    refused = vault.bench.run(*words)
    assert 1 == refused.exit_code
    assert "has to be built, and nobody would sign it: name a private key with --signing-key" in refused.stderr
    assert 1 == len(tensorrt.builds)
    assert "signature" in vault.manifest()


def test_who_asks_for_signatures_builds_nothing_without_one(vault: Vault, tensorrt: FakeTensorRT) -> None:
    """A plan that is not there yet could not count once it was."""
    shutil.rmtree(vault.folder)
    refused = vault.bench.run("--trusted-keys", str(vault.trusted))
    assert "has to be built, and nobody would sign it" in refused.stderr
    assert 1 == len(tensorrt.builds)


def test_keys_are_replaced(vault: Vault, tmp_path: Path) -> None:
    """A plan of the old key counts as long as that is trusted, and is built again when it is not."""
    key = tmp_path / "new.pem"
    new, old = _signer(key).public.id, vault.me.public.id
    both = write_trusted(tmp_path / "both", vault.me, Signer(read_key(key)))
    sign_model(vault.bench.repository, NAME, Signer(read_key(key), read_trusted_keys(both)))
    words = ("--signing-key", str(key))
    known = vault.bench.run(*words, "--trusted-keys", str(both))
    assert f"is built already, signed by the trusted key {old}" in known.stdout
    again = vault.bench.run(*words)
    assert f"`signature.key_id` is {old}, which is none of the trusted keys ({new})" in again.stderr
    assert f"signed by the trusted key {new}" in again.stdout


def test_nothing_is_built_of_a_strangers_model(vault: Vault, tensorrt: FakeTensorRT) -> None:
    """Neither of a manifest that somebody changed, nor for batches that nobody vouched for."""
    config = vault.bench.repository / NAME / "config.pbtxt"
    config.write_text(config.read_text().replace("max_batch_size: 32", "max_batch_size: 64"))
    assert "config.pbtxt has changed since it was published" in vault.build().stderr
    manifest = vault.bench.repository / NAME / "manifest.json"
    manifest.write_text(json.dumps(signed(json.loads(manifest.read_bytes()), STRANGER)))
    for refused in (vault.build(), vault.bench.run("--trusted-keys", str(vault.trusted))):
        assert f"shapes/manifest.json is not trusted: `signature.key_id` is {STRANGER.public.id}" in refused.stderr
    assert 1 == len(tensorrt.builds)


def test_a_plan_of_nothing_that_is_published_is_refused(vault: Vault) -> None:
    """Whoever signed it: its version has to be there, and to hold the file that the plan was built of."""
    publish(vault.bench.repository, CARD, release("2", b"another graph"), vault.me)
    for version, says in (("7", "is of no version that counts: shapes has no version '7'"), ("2", "of another file")):
        vault.write(signed(vault.manifest() | {"version": version}, vault.me))
        assert says in vault.verify().stderr


def test_a_signed_plan_under_another_name_is_refused(vault: Vault) -> None:
    """A signature holds for one name: nobody serves an old plan in place of a new one."""
    vault.folder.rename(vault.bench.engines / f"{'0' * 32}-b32")
    assert "-b32/manifest.json is of another plan: its `key` is" in vault.verify().stderr


def test_an_empty_store_is_not_well(bench: Bench) -> None:
    """Whoever verifies the wrong folder hears of it."""
    refused = bench.verify()
    assert 1 == refused.exit_code
    assert f"{bench.engines} holds no plan" in refused.stderr
