"""Quantising and searching may die at any moment: done again, they come to the same models."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from slow.toy_compress import toy_compress, toy_quantise, toy_search
from slow.toy_training import toy_train

from modelkit.train.run import sha256

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning"),  # torch's exporter, about itself
    pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxruntime"),
]

TOY = Path(__file__).parent / "toy_compress.py"
QUANTISING = {"in the middle of calibrating": "open:augment", "before the file is whole": "os.rename:small/result.json"}
SEARCHING = {
    "measuring the first candidate": "os.rename:candidates.json",
    "learning with INT8's rounding": "os.rename:toy-qat/checkpoint.pt",
    "training what the second step pruned": "os.rename:steps/2/checkpoint.pt",
    "quantising the pruned network": "os.rename:toy-without-40-int8/export.json",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a trained run that knows its task."""
    return toy_train(tmp_path_factory.mktemp("runs"), "epochs=12", "augment={}", "ema=null").parent


def dies(folder: Path, step: str, moment: str) -> None:
    """Runs a step that is killed at a moment; fails if it is not."""
    command = [sys.executable, str(TOY), str(folder), step, moment]
    done = subprocess.run(command, check=False, env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True)
    assert -signal.SIGKILL == done.returncode, done.stderr


def models(folder: Path) -> dict[str, str]:
    """Returns the hashes of all weights and ONNX files."""
    files = sorted(path for kind in ("*.safetensors", "*.onnx") for path in folder.rglob(kind))
    return {str(path.relative_to(folder)): sha256(path) for path in files}


def test_a_killed_quantising_ends_in_the_same_file(runs: Path, tmp_path: Path) -> None:
    """Killed twice and done again: the same bytes and the same result as of one that was not."""
    whole, killed = (shutil.copytree(runs, tmp_path / name) for name in ("whole", "killed"))
    toy_quantise(whole)
    for moment in QUANTISING.values():
        dies(killed, "quantise", moment)
        assert not (killed / "small" / "result.json").exists()
    toy_quantise(killed)
    assert models(whole) == models(killed)
    assert (whole / "small" / "result.json").read_bytes() == (killed / "small" / "result.json").read_bytes()


def test_a_killed_search_ends_in_the_same_models(runs: Path, tmp_path: Path) -> None:
    """Killed again and again, each time later: the same weights and files to the last bit, and the same candidates."""
    whole, killed = (shutil.copytree(runs, tmp_path / name) for name in ("whole", "killed"))
    expected = toy_compress(toy_search(whole, above=-100))
    for moment in SEARCHING.values():
        dies(killed, "compress", moment)
    found = toy_compress(toy_search(killed, above=-100))
    assert [(each.name, each.top1) for each in expected.candidates] == [
        (each.name, each.top1) for each in found.candidates
    ]
    assert models(whole) == models(killed)
    assert {"toy-qat-int8/model.onnx", "toy-without-40-qat-int8/model.onnx"} <= models(killed).keys()
