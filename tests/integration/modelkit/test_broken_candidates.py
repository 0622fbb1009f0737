"""Every kind of broken candidate is refused by the gate that is there for it, and what is live stays as it is."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from candidates import MEAN, STD, Colours, colour_dataset, colour_model, colour_run

from modelkit import engine
from modelkit.data.store import Dataset
from modelkit.gate import GateError, Logits
from modelkit.publish import PublishError
from modelkit.release import golden
from modelkit.release.gates import Limits
from modelkit.release.publishing import Plan, Published, publish_run
from modelkit.variants import Pictures
from servicekit.manifest import read_manifest

ALIKE = "corruptions 1, colours abc, 8 pictures, seed 1"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Returns pictures of four colours."""
    return colour_dataset(tmp_path_factory.mktemp("colours"))


@pytest.fixture
def repository(tmp_path: Path, dataset: Dataset) -> Path:
    """Returns a repository in which a good model is live."""
    publish_colours(tmp_path / "models", dataset, colour_run(tmp_path / "good", dataset))
    return tmp_path / "models"


def publish_colours(
    repository: Path,
    dataset: Dataset,
    run: Path,
    limits: Limits | None = None,
    name: str = "colours",
    parent: Path | None = None,
) -> Published:
    """Publishes a run."""
    plan = Plan(run, name, parent=parent, limits=limits or Limits())
    return publish_run(repository, dataset.folder.parents[1], plan)


def evaluated_run(folder: Path, dataset: Dataset, gain: float, mean_top1: float, protocol: str) -> Path:
    """Writes the folder of a good run, another file for each gain, that was evaluated on corrupted pictures."""
    run = colour_run(folder, dataset, Colours(gain=gain))
    found = {"mean_top1": mean_top1, "protocol": protocol}
    (run / "evaluation.json").write_text(json.dumps({"robustness": found}))
    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Returns every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


BROKEN = {
    "the names of the labels shuffled": (
        Colours(labels=("green", "red", "blue", "dark")),
        "the labels gate: class 0 is 'green' in the model and 'red' in the data set; 2 of 4 names differ",
    ),
    "the answers shuffled against the labels": (
        Colours(classes=(1, 2, 0, 3)),
        "the parity gate: .*in training \\(1.0000\\) and through serving \\(0.2500\\) is 0.7500, at most 0.0050 is "
        "allowed: 0.7450 above",
    ),
    "trained on shuffled labels": (
        Colours(classes=(1, 2, 0, 3), top1=0.25),
        "the accuracy gate: top-1 on the test split is 0.2500, at least 0.5000 is allowed: 0.2500 below",
    ),
    "without normalisation": (
        Colours(mean=(0, 0, 0), std=(1, 1, 1)),
        "the parity gate: .*through serving \\(0.7500\\) is 0.2500",
    ),
    "BGR instead of RGB": (
        Colours(channels=(2, 1, 0)),
        "the parity gate: .*through serving \\(0.5000\\) is 0.5000",
    ),
    "an operator that TensorRT does not have": (
        Colours(extra=("Hardmax", "")),
        "the structure gate .*the operators Hardmax, which OpenVINO and TensorRT do not both run",
    ),
    "an operator of one engine's own": (
        Colours(extra=("FusedGelu", "com.example")),
        "the structure gate .*operators of com.example, and only those of ONNX itself are served",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_candidate_is_refused(tmp_path: Path, repository: Path, dataset: Dataset, what: str) -> None:
    """The gate says which number or part it is; not a byte of the repository changes."""
    colours, refusal = BROKEN[what]
    before = contents(repository)
    with pytest.raises(GateError, match=refusal):
        publish_colours(repository, dataset, colour_run(tmp_path / "bad", dataset, colours))
    assert before == contents(repository)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_file_is_refused(tmp_path: Path, repository: Path, dataset: Dataset, damage: str) -> None:
    """A file that is not, to the bit, what was exported and checked then does not even reach the other gates."""
    run = colour_run(tmp_path / "bad", dataset)
    data = bytearray((run / "model.onnx").read_bytes())
    if damage == "truncated":
        del data[-20:]
    else:
        data[data.index(bytes(bytearray([0, 0, 0x80, 0x3F])))] ^= 1  # the lowest bit of a weight
    (run / "model.onnx").write_bytes(data)
    before = contents(repository)
    with pytest.raises(GateError, match="the file gate refuses the model: its sha256 begins with"):
        publish_colours(repository, dataset, run)
    assert before == contents(repository)


def test_a_truncated_file_that_was_exported_so_is_refused(tmp_path: Path, repository: Path, dataset: Dataset) -> None:
    """An exporter that wrote half a file and its hash gets no further than the structure gate."""
    run = colour_run(tmp_path / "bad", dataset)
    half = colour_model(Colours())[:150]
    (run / "model.onnx").write_bytes(half)
    (run / "export.json").write_text(json.dumps({"model": "model.onnx", "sha256": hashlib.sha256(half).hexdigest()}))
    with pytest.raises(GateError, match="the structure gate refuses the model: it is no whole ONNX file"):
        publish_colours(repository, dataset, run)


def test_a_candidate_worse_than_the_live_version_is_refused(tmp_path: Path, repository: Path, dataset: Dataset) -> None:
    """Good enough by itself and true to its training, but 25 points below what is live."""
    worse = Colours(mean=(0, 0, 0), std=(1, 1, 1), top1=0.75)
    with pytest.raises(GateError) as refusal:
        publish_colours(repository, dataset, colour_run(tmp_path / "bad", dataset, worse))
    assert (
        "the accuracy gate: the drop of top-1 below the live version is 0.2500, at most 0.0050 is allowed: 0.2450 "
        "above; the agreement gate: the share of pictures with the parent's first class is 0.7500, at least 0.8000 is "
        "allowed: 0.0500 below"
    ) == str(refusal.value)


def test_a_slow_candidate_is_refused(tmp_path: Path, repository: Path, dataset: Dataset) -> None:
    """A limit that nothing on this machine meets: the time that was measured is told."""
    run = colour_run(tmp_path / "bad", dataset, Colours(gain=2))
    with pytest.raises(GateError, match=r"the latency gate: .* is 0\.\d{4} ms, at most 0.0000 ms is allowed"):
        publish_colours(repository, dataset, run, Limits(max_latency_ms=0))


@pytest.mark.parametrize(("name", "whose"), [("colours", "live version"), ("first", "parent")])
def test_a_candidate_slower_than_what_it_replaces_is_refused(
    tmp_path: Path, repository: Path, dataset: Dataset, name: str, whose: str
) -> None:
    """It is timed in turns with the live version, or with the parent where nothing is live."""
    run = colour_run(tmp_path / "bad", dataset, Colours(gain=2))
    refusal = rf"the latency gate: .* as a multiple of the {whose}'s 0\.\d+ ms is \d+\.\d+, at most 0.0100 is allowed"
    with pytest.raises(GateError, match=refusal):
        publish_colours(repository, dataset, run, Limits(max_slowdown=0.01), name, tmp_path / "good")


def test_a_first_version_is_held_against_the_run_that_it_began_with(
    tmp_path: Path, repository: Path, dataset: Dataset
) -> None:
    """Nothing is live under that name and nobody named a parent: the lineage does, while that run is what it was."""
    begun = hashlib.sha256((tmp_path / "good" / "model.onnx").read_bytes()).hexdigest()
    parents = {"weights": {"run": "good", "model_sha256": begun}}
    worse = Colours(mean=(0, 0, 0), std=(1, 1, 1), top1=0.75, parents=parents)
    run = colour_run(tmp_path / "bad", dataset, worse)
    with pytest.raises(GateError, match=r"the drop of top-1 below the parent is 0\.2500"):
        publish_colours(repository, dataset, run, name="first")
    (tmp_path / "good" / "model.onnx").write_bytes(b"made anew")
    assert "1" == publish_colours(repository, dataset, run, name="first").version


def test_a_limit_that_was_moved_is_told(tmp_path: Path, repository: Path, dataset: Dataset) -> None:
    """Whoever looks at the manifest later sees what the gates were told; the usual limits need no word."""
    worse = colour_run(tmp_path / "bad", dataset, Colours(mean=(0, 0, 0), std=(1, 1, 1), top1=0.75))
    done = publish_colours(repository, dataset, worse, Limits(max_drop=0.3, min_agreement=0.5, max_slowdown=9))
    told = {name: value for name, value in done.manifest.versions["2"].accuracy.items() if name.startswith("limit")}
    assert {"limit_max_drop": 0.3, "limit_min_agreement": 0.5, "limit_max_slowdown": 9} == told


def test_a_candidate_worse_than_its_parent_is_refused(tmp_path: Path, repository: Path, dataset: Dataset) -> None:
    """Where nothing is live under that name, the parent's top-1 counts."""
    worse = Colours(mean=(0, 0, 0), std=(1, 1, 1), top1=0.75)
    run = colour_run(tmp_path / "bad", dataset, worse)
    refusal = "the accuracy gate: the drop of top-1 below the parent is 0.2500, at most 0.0100 is allowed: 0.2400 above"
    with pytest.raises(GateError, match=refusal):
        publish_colours(repository, dataset, run, name="first", parent=tmp_path / "good")


def test_a_candidate_that_noise_upsets_is_refused(tmp_path: Path, repository: Path, dataset: Dataset) -> None:
    """Its evaluation on corrupted pictures is held against the live version's."""
    for name, top1 in (("sturdy", 0.9), ("frail", 0.7)):
        run = colour_run(tmp_path / name, dataset, Colours(gain=2 + top1))
        (run / "evaluation.json").write_text(json.dumps({"robustness": {"mean_top1": top1}}))
    first = publish_colours(repository, dataset, tmp_path / "sturdy")
    assert "nothing: no live version and no parent" in _compared(first)
    with pytest.raises(GateError, match=r"the robustness gate: .* is 0.2000, at most 0.0500 is allowed: 0.1500 above"):
        publish_colours(repository, dataset, tmp_path / "frail")


def test_the_parent_counts_where_no_live_version_was_evaluated(
    tmp_path: Path, repository: Path, dataset: Dataset
) -> None:
    """A model's first version, and one after a live version without the figure, are held against the parent's run."""
    parent = evaluated_run(tmp_path / "parent", dataset, 2, 0.9, ALIKE)
    frail = evaluated_run(tmp_path / "frail", dataset, 3, 0.7, ALIKE)
    sturdy = evaluated_run(tmp_path / "sturdy", dataset, 4, 0.88, ALIKE)
    for name in ("first", "colours"):
        with pytest.raises(GateError, match=r"the robustness gate: .* below the parent is 0.2000, at most 0.0500"):
            publish_colours(repository, dataset, frail, name=name, parent=parent)
        assert "parent" == _compared(publish_colours(repository, dataset, sturdy, name=name, parent=parent))
    assert "live version" == _compared(publish_colours(repository, dataset, parent))


@pytest.mark.parametrize("baseline", ["live version", "parent"])
@pytest.mark.parametrize("found", ["not evaluated", "evaluated otherwise"])
def test_a_candidate_that_does_not_compare_is_refused(
    tmp_path: Path, repository: Path, dataset: Dataset, baseline: str, found: str
) -> None:
    """The refusal has the command that measures it as what it is held against was measured."""
    parent = evaluated_run(tmp_path / "parent", dataset, 2, 0.9, ALIKE)
    if baseline == "live version":
        publish_colours(repository, dataset, parent)
    run = evaluated_run(tmp_path / "candidate", dataset, 3, 0.9, "corruptions 1, colours abc, 6 pictures, seed 0")
    if found == "not evaluated":
        (run / "evaluation.json").unlink()
    before = contents(repository)
    with pytest.raises(GateError) as refusal:
        publish_colours(repository, dataset, run, parent=parent)
    other = {"not evaluated": "", "evaluated otherwise": " (corruptions 1, colours abc, 6 pictures, seed 0)"}[found]
    assert (
        f"the robustness gate: the {baseline} was evaluated on corrupted pictures ({ALIKE}), the candidate was "
        f"{found}{other}: `triptych model evaluate {run} --dataset colours:abc --pictures 8 --seed 1`"
    ) == str(refusal.value)
    assert before == contents(repository)


def test_a_live_version_may_be_evaluated_anew(tmp_path: Path, repository: Path, dataset: Dataset) -> None:
    """The same file with figures of another protocol replaces them; without any it would take them away."""
    run = evaluated_run(tmp_path / "run", dataset, 2, 0.9, ALIKE)
    publish_colours(repository, dataset, run)
    (run / "evaluation.json").write_text(json.dumps({"robustness": {"mean_top1": 0.5, "protocol": "corruptions 2"}}))
    again = publish_colours(repository, dataset, run)
    accuracy = again.manifest.versions["2"].accuracy
    assert ("2", 0.5, "corruptions 2") == (
        again.version,
        accuracy["robustness_mean_top1"],
        accuracy["robustness_protocol"],
    )
    assert "nothing: it is the live version's own file" == _compared(again)
    (run / "evaluation.json").unlink()
    with pytest.raises(GateError, match="the candidate was not evaluated: `triptych model evaluate"):
        publish_colours(repository, dataset, run)


def _compared(done: Published) -> str:
    return str(done.manifest.versions[done.version].accuracy["robustness_compared_with"])


def test_a_candidate_that_answers_golden_pictures_otherwise_is_refused(
    tmp_path: Path, repository: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes, compiled anew, are asked before they are published: which picture, which class now and before."""
    golden_file = json.loads((repository / "colours" / "1" / "golden.json").read_bytes())
    last = golden_file["pictures"][-1]

    def confused(model: bytes) -> Callable[[Pictures], Logits]:
        def ask(pictures: Pictures) -> Logits:
            answers = engine.compiled(model)(pictures)
            answers[-1] = np.roll(answers[-1], 1)
            return answers

        return ask

    monkeypatch.setattr(golden, "compiled", confused)
    before = contents(repository)
    with pytest.raises(GateError) as refusal:
        publish_colours(repository, dataset, colour_run(tmp_path / "bad", dataset, Colours(gain=2)))
    assert (
        "the golden gate: 1 of 8 golden pictures are answered otherwise here, none may be: "
        f"{last['id'][:12]} (class {(last['class'] + 1) % 4}, it was {last['class']})"
    ) == str(refusal.value)
    assert before == contents(repository)


def test_a_good_candidate_joins(tmp_path: Path, repository: Path, dataset: Dataset) -> None:
    """It is the next version and live; its figures, golden predictions and lineage lie with it."""
    done = publish_colours(repository, dataset, colour_run(tmp_path / "better", dataset, Colours(MEAN, STD, gain=2)))
    assert "2" == done.version
    version = read_manifest(repository / "colours").versions["2"]
    keys = ("test_top1", "test_pictures", "golden_pictures", "parent_same_top1")
    assert (1.0, 40, 8, 1.0) == tuple(version.accuracy[key] for key in keys)
    assert {"model.onnx", "golden.json", "lineage.json"} == set(contents(repository / "colours" / "2"))
    assert all(check.passed for check in done.checks)
    assert done.tensorrt.by == version.accuracy["tensorrt_gate"]


def test_the_same_file_is_the_same_version(tmp_path: Path, repository: Path, dataset: Dataset) -> None:
    """Publishing again, under no number, adds none, and claims no agreement with a parent that was itself."""
    again = publish_colours(repository, dataset, colour_run(tmp_path / "again", dataset))
    assert ("1", ["1"]) == (again.version, list(again.manifest.versions))
    assert "parent_same_top1" not in again.manifest.versions["1"].accuracy


def test_another_model_stands_beside_it(tmp_path: Path, repository: Path, dataset: Dataset) -> None:
    """A second name is a second model with versions of its own."""
    publish_colours(repository, dataset, colour_run(tmp_path / "second", dataset), name="more_colours")
    assert {"colours", "more_colours"} == {path.name for path in repository.iterdir()}
    assert ["1"] == list(read_manifest(repository / "more_colours").versions)


def test_a_run_that_is_not_there_is_no_run_to_export(repository: Path, dataset: Dataset, tmp_path: Path) -> None:
    """A misspelt folder is named as such; one that was not exported gets the whole command."""
    with pytest.raises(GateError, match=r"the file gate finds no run .*/misspelt$"):
        publish_colours(repository, dataset, tmp_path / "misspelt")
    run = colour_run(tmp_path / "new", dataset)
    (run / "model.onnx").unlink()
    with pytest.raises(GateError, match=rf"`triptych model export {run}` writes it"):
        publish_colours(repository, dataset, run)


def test_a_name_that_no_model_can_have_is_refused_before_the_gates(dataset: Dataset, tmp_path: Path) -> None:
    """The run is not even read, and the repository gets no folder."""
    with pytest.raises(PublishError, match="the model's name 'Two Words'"):
        publish_colours(tmp_path / "models", dataset, tmp_path / "nothing", name="Two Words")
    assert not (tmp_path / "models").exists()
