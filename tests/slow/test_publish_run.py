"""From training to the repository: a trained network passes the gates, and the same one exported wrongly does not."""

import json
import shutil
from pathlib import Path

import pytest
from candidates import colour_dataset
from slow.toy_training import toy_recipe

from modelkit.export_run import export_run
from modelkit.gate import GateError
from modelkit.release.publishing import Plan, publish_run
from modelkit.train.train import Places, train

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning"),  # torch's exporter, about itself
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a data set of colours, and a run that has learned them."""
    root = tmp_path_factory.mktemp("life")
    colour_dataset(root, splits=("train", "val", "test"))
    changes = ("dataset={name: colours}", "input={width: 8, height: 8, crop: 1.0}", "augment={}", "epochs=15")
    train(toy_recipe(root, *changes), Places(root / "datasets", root / "runs", root / "pixels"))
    export_run(root / "runs" / "toy")
    return root


def test_a_trained_run_is_published(root: Path, tmp_path: Path) -> None:
    """Serving finds what training found."""
    done = publish_run(tmp_path, root / "datasets", Plan(root / "runs" / "toy", "toy"))
    accuracy = done.manifest.versions["1"].accuracy
    assert (1.0, 1.0) == (accuracy["training_top1"], accuracy["test_top1"])


@pytest.mark.parametrize(
    ("what", "value"), [("mean", [0.0, 0.0, 255.0]), ("std", [1.0, 1.0, 1.0])], ids=["other mean", "no scale"]
)
def test_another_normalisation_is_refused(root: Path, tmp_path: Path, what: str, value: list[float]) -> None:
    """The exporter finds nothing wrong: file and network agree. Only pictures tell, through serving."""
    run = Path(shutil.copytree(root / "runs" / "toy", tmp_path / "toy"))
    architecture = json.loads((run / "architecture.json").read_text())
    architecture["network"][what] = value
    (run / "architecture.json").write_text(json.dumps(architecture))
    export_run(run)
    with pytest.raises(GateError, match=r"the parity gate: .*in training \(1.0000\) and through serving"):
        publish_run(tmp_path / "models", root / "datasets", Plan(run, "toy"))
    assert not (tmp_path / "models").exists()
