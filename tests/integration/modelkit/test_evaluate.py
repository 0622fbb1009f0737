"""A run and a published version are evaluated as requests would find them; what comes out is published and told."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from candidates import Colours, colour_dataset, colour_run
from typer.testing import CliRunner

from modelkit.cli import app
from modelkit.data.store import Dataset
from modelkit.evaluate.card import CARD_FILE
from modelkit.evaluate.corruptions import CORRUPTIONS, PROTOCOL
from modelkit.evaluate.evaluate import Options, evaluate_run, evaluate_version
from modelkit.evaluate.subject import Shelf
from modelkit.gate import GateError
from modelkit.release.gates import Limits
from modelkit.release.publishing import Plan, publish_run
from modelkit.train.run import sha256
from servicekit.manifest import read_manifest

FEW = Options(pictures=6)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Returns pictures of four colours, to fit and to judge."""
    return colour_dataset(tmp_path_factory.mktemp("colours"), splits=("val", "test"))


@pytest.fixture
def shelf(tmp_path: Path, dataset: Dataset) -> Shelf:
    """Says where things are."""
    return Shelf(tmp_path / "models", dataset.folder.parents[1], tmp_path / "evaluations")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    """Returns an evaluated run that is right about three classes of four, and too sure of it."""
    run = tmp_path_factory.mktemp("runs") / "sure"
    colour_run(run, dataset, Colours((0, 0, 0), (1, 1, 1), gain=0.3, top1=0.75))
    evaluate_run(run, Shelf(datasets=dataset.folder.parents[1]), FEW)
    return run


@pytest.fixture
def run(evaluated: Path, tmp_path: Path) -> Path:
    """Returns a copy of it."""
    return Path(shutil.copytree(evaluated, tmp_path / "runs" / "sure"))


def _found(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return content


def _written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [folder / CARD_FILE, *folder.glob("evaluation/*")]}


def test_a_run_is_measured(run: Path, dataset: Dataset) -> None:
    """Its first classes, its cost and every corruption; the folder then has the card, and pictures for it."""
    found = _found(run)
    assert (0.75, 1.0) == (found["accuracy"]["top1"], found["accuracy"]["top5"])
    assert (10, {"dark"}) == (
        sum(pair["pictures"] for pair in found["accuracy"]["confused"]),
        {pair["true"] for pair in found["accuracy"]["confused"]},
    )
    assert 12 == found["cost"]["macs"]
    assert (run / "model.onnx").stat().st_size == found["cost"]["file_bytes"]
    assert 0 < found["cost"]["model_bytes"] < found["cost"]["resident_bytes"]
    robust = found["robustness"]
    assert f"{PROTOCOL}, colours {dataset.manifest.version}, 6 pictures, seed 0" == robust["protocol"]
    assert list(CORRUPTIONS) == list(robust["corruptions"])
    values = [value for each in robust["corruptions"].values() for value in each]
    assert sum(values) / 70 == pytest.approx(robust["mean_top1"])
    assert "| dark | 10 | 0.00% | - |" in (run / CARD_FILE).read_text()
    assert {CARD_FILE, "confusion.png", "confused.png", "reliability.png", "robustness.png"} == set(_written(run))


def test_the_card_is_the_same_again(run: Path) -> None:
    """Of the same figures, card and plots have the same bytes; nothing is measured for them."""
    before = _written(run)
    (run / CARD_FILE).unlink()
    assert 0 == CliRunner().invoke(app, ["card", str(run)]).exit_code
    assert before == _written(run)
    refused = CliRunner().invoke(app, ["card", str(run.parent)])
    assert (1, True) == (refused.exit_code, "was not evaluated" in refused.output)


def test_temperature_and_robustness_are_published(run: Path, shelf: Shelf) -> None:
    """The manifest has what `val` asked for, which makes the model less sure."""
    found = _found(run)
    assert found["temperature"] > 1.5
    assert found["calibration"]["nll"][1] < found["calibration"]["nll"][0]
    publish_run(shelf.repository, shelf.datasets, Plan(run, "colours"))
    version = read_manifest(shelf.repository / "colours").versions["1"]
    assert found["temperature"] == version.temperature
    assert found["robustness"]["protocol"] == version.accuracy["robustness_protocol"]


def test_an_evaluation_of_another_file_is_refused(run: Path, shelf: Shelf) -> None:
    """A temperature belongs to the file that it was fitted for."""
    (run / "evaluation.json").write_text(json.dumps({**_found(run), "model_sha256": "f" * 64}))
    with pytest.raises(GateError, match=r"evaluation.json: it is of a file whose sha256 begins with ffffffffffff"):
        publish_run(shelf.repository, shelf.datasets, Plan(run, "colours"))


def test_a_refusal_says_how_to_evaluate_alike(run: Path, dataset: Dataset, shelf: Shelf) -> None:
    """The command that it tells measures a candidate as the live version was, which then is judged."""
    publish_run(shelf.repository, shelf.datasets, Plan(run, "colours"))
    candidate = colour_run(run.parent / "candidate", dataset, Colours(gain=2))
    with pytest.raises(GateError, match="the candidate was not evaluated") as refusal:
        publish_run(shelf.repository, shelf.datasets, Plan(candidate, "colours"))
    command = str(refusal.value).split("`triptych model ")[1].split("`")[0].split()
    assert 0 == CliRunner().invoke(app, [*command, "--datasets", str(shelf.datasets)]).exit_code
    limits = Limits(min_agreement=0.7)
    done = publish_run(shelf.repository, shelf.datasets, Plan(candidate, "colours", limits=limits))
    assert "robustness" in {check.gate for check in done.checks}


def test_a_run_stands_beside_those_it_was_made_of(run: Path, dataset: Dataset, shelf: Shelf) -> None:
    """What was made anew since is no parent; what takes other pictures or was not exported is left out, and said."""
    parents = {
        "weights": {"run": "sure", "model_sha256": sha256(run / "model.onnx"), "lineage": None},
        "teacher": {"run": "anew", "model_sha256": "0" * 64, "lineage": None},
    }
    colour_run(run.parent / "anew", dataset, Colours(gain=3))
    child = colour_run(run.parent / "child", dataset, Colours(gain=4, parents=parents))
    found = evaluate_run(child, shelf, FEW)
    assert ["sure"] == [each["name"] for each in found["relatives"]]
    assert (1.0, 0.75) == (found["accuracy"]["top1"], found["relatives"][0]["accuracy"]["top1"])
    (run / "export.json").unlink()
    again = evaluate_run(child, shelf, Options(pictures=6, beside=(str(run.parent / "anew"),)))
    assert ["anew"] == [each["name"] for each in again["relatives"]]
    assert "the file gate" in again["left_out"]["sure"]
    assert "Not compared with sure" in (child / CARD_FILE).read_text()


def test_a_published_version_is_measured(run: Path, shelf: Shelf) -> None:
    """Its data set is known, the same file has the same figures, and they lie beside the repository."""
    publish_run(shelf.repository, shelf.datasets, Plan(run, "colours"))
    places = [str(each) for each in (shelf.repository, shelf.datasets, shelf.evaluations)]
    options = [
        word for pair in zip(("--repository", "--datasets", "--evaluations"), places, strict=True) for word in pair
    ]
    done = CliRunner().invoke(app, ["evaluate", "colours", "--pictures", "6", *options])
    assert 0 == done.exit_code, done.output
    for word in ("colours:1", "75.00%", "zoom blur", "jpeg quality, 40", "dark", CARD_FILE):
        assert word in done.output
    found = _found(shelf.evaluations / "colours-1")
    same = ("accuracy", "calibration", "robustness", "model_sha256")
    assert [_found(run)[each] for each in same] == [found[each] for each in same]
    with pytest.raises(ValueError, match="colours has no version '7'"):
        evaluate_version("colours", "7", shelf)
