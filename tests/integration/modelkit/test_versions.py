"""Keeping published versions: listing, telling apart, going back, throwing away."""

import shutil
from pathlib import Path

import pytest
from candidates import Colours, colour_dataset, colour_run
from fakes.signatures import signer, write_trusted
from typer.testing import CliRunner, Result

from modelkit.cli import app
from modelkit.gate import GateError
from modelkit.publish import PublishError, live_version
from modelkit.release.publishing import Plan, publish_run
from modelkit.release.retention import Removed, collect
from modelkit.release.versions import differences, list_versions, rollback
from modelkit.signing.manifests import sign_model
from servicekit.manifest import read_manifest
from servicekit.signatures import SignatureError


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a repository with three versions of a model; tests change a copy of it."""
    root = tmp_path_factory.mktemp("three")
    dataset = colour_dataset(root)
    teacher = {
        "teacher": {"run": "big", "model_sha256": "3" * 64, "lineage": {"dataset": {"name": "x", "version": "y"}}}
    }
    for gain in (1, 2, 3):
        run = colour_run(root / f"run_{gain}", dataset, Colours(gain=gain, parents=teacher))
        publish_run(root / "models", root / "datasets", Plan(run, "colours"))
    return root / "models"


@pytest.fixture
def repository(three: Path, tmp_path: Path) -> Path:
    """Returns a repository of a test's own."""
    return Path(shutil.copytree(three, tmp_path / "models"))


def command(repository: Path, *words: str) -> Result:
    """Runs `triptych model ...`."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*words, "--repository", str(repository)])


def test_the_newest_is_live_until_somebody_says_otherwise(repository: Path) -> None:
    """Listed from new to old, one of them live, each with its size."""
    rows = list_versions(repository)
    assert [("3", True), ("2", False), ("1", False)] == [(row.number, row.live) for row in rows]
    assert all(row.size == (repository / "colours" / row.number / "model.onnx").stat().st_size for row in rows)


def test_rolling_back_goes_one_version_down(repository: Path) -> None:
    """Twice is two versions down, and below the first there is none."""
    assert ("3", "2") == rollback(repository, "colours")
    assert ("2", "1") == rollback(repository, "colours")
    with pytest.raises(PublishError, match="no version before 1, which is live"):
        rollback(repository, "colours")
    assert ("1", "3") == rollback(repository, "colours", to="3")


@pytest.mark.parametrize(
    ("file", "before", "after", "refusal"),
    [
        ("model.onnx", b"pixels", b"pixelz", "the file gate: .* has changed since it was published"),
        ("golden.json", b'"class": 0', b'"class": 3', "the golden gate: .* are answered otherwise here, none may be"),
        ("golden.json", b'"pictures"', b'"picture"', "the golden gate: .* is damaged"),
    ],
)
def test_nothing_goes_back_to_a_damaged_version(
    repository: Path, file: str, before: bytes, after: bytes, refusal: str
) -> None:
    """Its file or its golden predictions are not what they were: what is live stays live."""
    path = repository / "colours" / "2" / file
    path.write_bytes(path.read_bytes().replace(before, after))
    with pytest.raises(GateError, match=refusal):
        rollback(repository, "colours")
    assert "3" == live_version(read_manifest(repository / "colours"))


def test_rolling_back_signs_again(repository: Path, tmp_path: Path) -> None:
    """A signed model goes back with a key and no way else, and whoever trusts that key can tell."""
    trusted = str(write_trusted(tmp_path / "trusted", signer()))
    unsigned = command(repository, "verify", "colours", "--trusted-keys", trusted)
    assert (1, True) == (unsigned.exit_code, "`signature` is missing" in unsigned.output)
    sign_model(repository, "colours", signer())
    with pytest.raises(SignatureError, match="is signed by the key"):
        rollback(repository, "colours")
    assert ("3", "2") == rollback(repository, "colours", signer=signer())
    verified = command(repository, "verify", "colours", "--trusted-keys", trusted)
    assert f"signed by the trusted key {signer().public.id}\ncolours version 2: the files" in verified.output


@pytest.mark.parametrize("name", ["2/lineage.json", "labels.txt", "config.pbtxt"])
def test_every_file_is_verified(repository: Path, name: str) -> None:
    """What lies beside the model has its sha256 in the manifest, too."""
    (repository / "colours" / name).write_text("other")
    answer = command(repository, "verify", "colours", "--version", "2")
    assert (1, True) == (answer.exit_code, "has changed since it was published" in answer.output)


def test_what_differs_is_told(repository: Path) -> None:
    """Two versions of one data set differ in their file and their run, and not in their labels."""
    told = {name: (one, other) for name, one, other in differences(repository, ("colours", "1"), ("colours", "2"))}
    assert {"sha256", "lineage: run"} <= told.keys()
    assert ("run_1", "run_2") == told["lineage: run"]
    assert not {"labels", "input", "precision"} & told.keys()


def test_old_versions_go_but_never_the_live_one(repository: Path) -> None:
    """Only what is neither live nor among the newest goes, from the manifest and from the disk."""
    rollback(repository, "colours", to="1")
    assert Removed(["2"], []) == collect(repository, "colours", keep=1, dry_run=True)
    assert Removed(["2"], []) == collect(repository, "colours", keep=1, grace_s=0)
    assert {"1", "3"} == set(read_manifest(repository / "colours").versions)
    assert {"1", "3"} == {path.name for path in (repository / "colours").iterdir() if path.is_dir()}
    assert Removed([], []) == collect(repository, "colours", keep=1, grace_s=0)


def test_people_can_read_it(repository: Path) -> None:
    """Every command answers in words, with exit status 0."""
    expected = {
        ("list",): ("colours", "top-1", "1.0000", "run run_3, colours"),
        ("lineage", "colours"): ("colours version 3", "step: train", "teacher: run big, weights 333333333333"),
        ("diff", "colours:1", "colours"): ("sha256", "run_3"),
        ("verify", "colours"): ("8 golden predictions are the same",),
        ("rollback", "colours"): ("colours: version 2 is live, 3 was",),
        ("gc", "colours", "--keep", "1", "--dry-run"): ("would remove versions 1",),
    }
    for words, parts in expected.items():
        answer = command(repository, *words)
        assert 0 == answer.exit_code, answer.output
        assert [] == [part for part in parts if part not in answer.output], answer.output


def test_mistakes_are_told_in_a_line(repository: Path) -> None:
    """No trace of calls for a model or a version that is not there."""
    for words in (["lineage", "colors"], ["rollback", "colours", "--to", "9"], ["diff", "colours:9", "colours"]):
        answer = command(repository, *words)
        assert (1, True) == (answer.exit_code, answer.output.startswith("error: "))
