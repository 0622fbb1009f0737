"""Following a repository: what a manifest says now is what counts, and a wrong one changes nothing."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from fakes.repository import manifest, write_model

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
