"""Which data set judges a model, and which runs stand beside it."""

import json
from pathlib import Path

import pytest

from modelkit.data.records import DataError
from modelkit.evaluate.relatives import ancestors
from modelkit.evaluate.subject import Subject, judged_by
from modelkit.train.run import sha256
from servicekit.manifest import Recipe


def _subject(dataset: str = "") -> Subject:
    recipe = Recipe(width=8, height=8, crop=1.0)
    return Subject("net:1", "import", Path("model.onnx"), b"", "", ("a", "b"), recipe, dataset, "12", {})


def test_what_a_model_was_made_with_judges_it() -> None:
    """Unless another data set is named, with a version or without."""
    assert ("fmnist", "12") == judged_by(_subject("fmnist"), "")
    assert ("other", "34") == judged_by(_subject("fmnist"), "other:34")
    assert ("other", "latest") == judged_by(_subject(), "other")


def test_an_imported_model_needs_a_data_set() -> None:
    """It does not know one."""
    with pytest.raises(DataError, match="name one with --dataset"):
        judged_by(_subject(), "")


def _run(folder: Path, weights: bytes, parents: dict[str, object]) -> dict[str, object]:
    """Writes a run, and returns it as a parent of others."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    lineage = {"run": folder.name, "parents": parents}
    (folder / "lineage.json").write_text(json.dumps(lineage))
    return {"run": folder.name, "model_sha256": sha256(folder / "model.safetensors"), "lineage": lineage}


def test_ancestors_nearest_first_each_once(tmp_path: Path) -> None:
    """Parents before theirs; a run that was made anew, or is gone, is left out."""
    first = _run(tmp_path / "first", b"1", {})
    teacher = _run(tmp_path / "teacher", b"2", {})
    gone = {"run": "gone", "model_sha256": "0" * 64, "lineage": None}
    pruned = _run(tmp_path / "pruned", b"3", {"weights": first, "teacher": teacher})
    _run(tmp_path / "small", b"4", {"weights": pruned, "teacher": teacher, "other": gone})
    assert ["pruned", "teacher", "first"] == [each.name for each in ancestors(tmp_path / "small")]
    (tmp_path / "teacher" / "model.safetensors").write_bytes(b"anew")
    assert ["pruned", "first"] == [each.name for each in ancestors(tmp_path / "small")]
