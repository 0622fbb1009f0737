"""The search for a smaller network."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from slow.toy_compress import judged_pictures, toy_compress, toy_search
from slow.toy_training import toy_train

from modelkit.compress.ladder import Wanted
from modelkit.compress.search import compress
from modelkit.release.candidate import check_file, read_candidate
from modelkit.train.recipe import RecipeError
from modelkit.train.run import sha256
from modelkit.train.train import Pictures, Places

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning"),  # torch's exporter, about itself
    pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxruntime"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a trained run that knows its task."""
    return toy_train(tmp_path_factory.mktemp("runs"), "epochs=12", "augment={}", "ema=null")


@pytest.fixture
def folder(run: Path, tmp_path: Path) -> Path:
    """Returns a folder with that run in it, for this test alone."""
    shutil.copytree(run, tmp_path / "toy")
    return tmp_path


def test_a_search_measures_each_candidate_once(folder: Path) -> None:
    """The network, a pruned one and both in INT8, and a choice that can be published.

    A search that was cut off makes only what is missing, what was measured of another file of that name is measured
    anew, and other bounds make nothing.
    """
    search = toy_search(folder)
    found = toy_compress(search)
    assert [
        ("toy", "as given", "fp32"),
        ("toy-int8", "as given", "INT8"),
        ("toy-without-40", "40% of its work pruned", "fp32"),
        ("toy-without-40-int8", "40% of its work pruned", "INT8"),
    ] == [(each.name, each.made, each.arithmetic) for each in found.candidates]
    given, _, pruned, _ = found.candidates
    assert pruned.macs <= 0.6 * given.macs
    assert all(each.latency_ms > 0 and each.kilobytes > 0 for each in found.candidates)
    assert {"pareto.png", "candidates.json", "choice.json"} == {path.name for path in found.folder.iterdir()}
    assert found.choice.name is not None
    check_file(read_candidate(folder / found.choice.name))

    written = json.loads((found.folder / "candidates.json").read_text())
    *kept, other, _ = written["candidates"]
    cut_off = {**written, "candidates": [*kept, {**other, "top1": 0.0, "sha256": "0" * 64}]}
    (found.folder / "candidates.json").write_text(json.dumps(cut_off))
    weights = sha256(folder / "toy-without-40" / "model.safetensors")
    again = toy_compress(search, Wanted(max_drop=0))
    assert found.candidates[:2] == again.candidates[:2]
    assert [each.top1 for each in found.candidates] == [each.top1 for each in again.candidates]
    assert weights == sha256(folder / "toy-without-40" / "model.safetensors")
    assert toy_compress(search, Wanted(target_latency_ms=0)).choice.name is None


def test_what_int8_costs_too_much_learns_with_its_rounding(folder: Path) -> None:
    """The network has a third candidate, quantised from a run that learned in INT8 from the network."""
    found = toy_compress(toy_search(folder, above=-100, removes=()))
    assert [("toy", "fp32"), ("toy-int8", "INT8"), ("toy-qat-int8", "INT8 after QAT")] == [
        (each.name, each.arithmetic) for each in found.candidates
    ]
    learned = json.loads((folder / "toy-qat-int8" / "lineage.json").read_text())["parents"]["weights"]
    assert ("toy-qat", "toy") == (learned["run"], learned["lineage"]["parents"]["weights"]["run"])
    assert "precision: int8" in (folder / "toy-qat" / "recipe.yaml").read_text()
    assert sha256(folder / "toy-int8" / "model.onnx") != sha256(folder / "toy-qat-int8" / "model.onnx")


def test_what_a_check_refuses_is_no_candidate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a bound that no engine holds in INT8 the search goes on with what is left, and says which check refused."""
    monkeypatch.setattr("modelkit.compress.parity.INT8_TOLERANCE", 1e-9)
    found = toy_compress(toy_search(folder, removes=()))
    assert ["toy"] == [each.name for each in found.candidates]
    assert {"toy-int8"} == set(found.refused)
    assert "at most 1e-09 is allowed" in found.refused["toy-int8"]
    assert found.refused == json.loads((found.folder / "choice.json").read_text())["refused"]


def test_the_test_split_chooses_no_model(folder: Path) -> None:
    """Without pictures in val nothing is made, and the command that makes some is told."""

    def without_val(*_: object) -> Pictures:
        pictures = judged_pictures()
        return Pictures(pictures.dataset, pictures.labels, {k: v for k, v in pictures.splits.items() if k != "val"})

    with pytest.raises(RecipeError, match=r"toy 0 has no pictures in val.*`triptych model data split toy --val 0\.1`"):
        compress(toy_search(folder), Wanted(max_drop=1), Places(runs=folder), read=without_val)
    assert {"toy", "toy.yaml"} == {path.name for path in folder.iterdir()}


def test_a_student_for_another_task_is_refused(folder: Path) -> None:
    """It takes other pictures: no figure of it would compare."""
    other = shutil.copytree(folder / "toy", folder / "other")
    architecture = (other / "architecture.json").read_text()
    (other / "architecture.json").write_text(architecture.replace('"width": 12', '"width": 24'))
    search = replace(toy_search(folder), students=(other,))
    with pytest.raises(RecipeError, match=r"other has other classes or takes other pictures than .*toy"):
        compress(search, Wanted(max_drop=1), Places(runs=folder), read=judged_pictures)
