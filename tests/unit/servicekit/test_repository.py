"""Following a repository: what a manifest says now is what counts, and a wrong one changes nothing."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from fakes.repository import manifest, write_model
from fakes.signatures import signed, signer, write_trusted
from prometheus_client import REGISTRY

from servicekit.manifest import ManifestError
from servicekit.repository import Models


def rewrite(root: Path, text: str) -> None:
    """Replaces the manifest as a publisher does, by a rename."""
    scratch = root / "scratch"
    scratch.write_text(text)
    scratch.replace(root / "tiny" / "manifest.json")


def test_a_new_model_is_found_when_it_is_asked_for(tmp_path: Path) -> None:
    """Whoever names it has heard of it; nobody has to wait for the next look."""
    write_model(tmp_path, manifest())
    models = Models(tmp_path)
    assert ["tiny"] == list(models)
    write_model(tmp_path, manifest("huge"))
    assert "huge" in models
    assert "huge" == models["huge"].name
    assert "none" not in models
    with pytest.raises(KeyError):
        models["none"]


async def test_a_change_counts_by_itself(tmp_path: Path) -> None:
    """A new version, and the end of a model, are seen without a request."""
    write_model(tmp_path, manifest())
    write_model(tmp_path, manifest("huge"))
    models = Models(tmp_path)
    async with models.running(interval_s=0.01):
        rewrite(tmp_path, json.dumps(manifest(temperatures={"1": 1.0, "2": 2.0})))
        shutil.rmtree(tmp_path / "huge")
        while len(models) > 1 or len(models["tiny"].versions) < 2:  # noqa: ASYNC110 (it is polling that is tested)
            await asyncio.sleep(0.01)
    assert {"1", "2"} == set(models["tiny"].versions)


def test_a_wrong_manifest_changes_nothing(tmp_path: Path) -> None:
    """What was read before counts, until the manifest is right again."""
    write_model(tmp_path, manifest())
    models = Models(tmp_path)
    before = models["tiny"]
    rewrite(tmp_path, "{")
    assert "none" not in models
    assert before == models["tiny"]
    rewrite(tmp_path, json.dumps(manifest(temperatures={"1": 3.0})))
    assert "none" not in models
    assert 3.0 == models["tiny"].versions["1"].temperature


def test_a_repository_without_a_model_is_no_start(tmp_path: Path) -> None:
    """A process that could serve nothing says so at once."""
    with pytest.raises(ManifestError, match="holds no model"):
        Models(tmp_path)


def refused(reason: str) -> float:
    """Returns how many changes were refused so far."""
    return REGISTRY.get_sample_value("triptych_repository_refused_total", {"reason": reason}) or 0.0


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("content", "{"),
        ("signature", json.dumps(manifest())),
        ("signature", json.dumps(signed(manifest(), signer(2)))),
        ("signature", json.dumps(signed(manifest(), signer()) | {"title": "Huge"})),
    ],
    ids=["broken", "unsigned", "of a stranger", "tampered with"],
)
def test_a_manifest_that_is_not_trusted_changes_nothing(tmp_path: Path, reason: str, text: str) -> None:
    """What was read before counts, each refusal is counted by its reason, and a good manifest ends it."""
    write_model(tmp_path, signed(manifest(), signer()))
    models = Models(tmp_path, write_trusted(tmp_path / "trusted", signer()))
    before, count = models["tiny"], refused(reason)
    rewrite(tmp_path, text)
    assert not models.refresh()
    assert (before, count + 1) == (models["tiny"], refused(reason))
    rewrite(tmp_path, json.dumps(signed(manifest(temperatures={"1": 3.0}), signer())))
    assert models.refresh()
    assert 3.0 == models["tiny"].versions["1"].temperature


def test_trusted_keys_are_followed(tmp_path: Path) -> None:
    """A key that is taken out of the file counts no more, and one that is added does, without a restart."""
    write_model(tmp_path, signed(manifest(), signer(1)))
    trusted = write_trusted(tmp_path / "trusted", signer(1))
    models = Models(tmp_path, trusted)
    count = refused("signature")
    write_trusted(trusted, signer(2))
    assert not models.refresh()
    assert count + 1 == refused("signature")
    rewrite(tmp_path, json.dumps(signed(manifest(temperatures={"1": 2.0}), signer(2))))
    assert models.refresh()
    assert 2.0 == models["tiny"].versions["1"].temperature


def test_nothing_starts_with_what_nobody_vouches_for(tmp_path: Path) -> None:
    """A process that has no trusted manifest to fall back on says so at once."""
    write_model(tmp_path, manifest())
    with pytest.raises(ManifestError, match=r"tiny/manifest\.json is not trusted: `signature` is missing"):
        Models(tmp_path, write_trusted(tmp_path / "trusted", signer()))
