"""Pruning: what goes, what is left, killed and resumed."""

import json
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from slow.toy_pruning import toy_prune
from slow.toy_training import toy_pictures, toy_recipe, toy_train

from modelkit.compress.channels import layer_scores, pruned
from modelkit.train.measure import evaluate, size_of
from modelkit.train.networks import load
from modelkit.train.recipe import RecipeError
from modelkit.train.run import sha256
from modelkit.train.train import Places

pytestmark = [pytest.mark.timeout(600)]

TOY = Path(__file__).parent / "toy_pruning.py"


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a trained run."""
    return toy_train(tmp_path_factory.mktemp("runs"), "epochs=10", "augment={}")


@pytest.mark.parametrize("importance", ["l1", "gradient"])
def test_a_pruned_run_is_a_run(tmp_path: Path, parent: Path, importance: str) -> None:
    """It has lost what was asked for, loads, answers as measured, and names its parent and what each layer meant."""
    folder = toy_prune(tmp_path, parent, importance=importance)
    result, lineage, scan = (
        json.loads((folder / f"{n}.json").read_text()) for n in ("result", "lineage", "sensitivity")
    )
    architecture, model = load(folder)
    size = size_of(model, architecture.input)
    assert (size.macs, size.parameters) == (result["macs"], result["parameters"])
    assert 0.5 <= result["removed_macs"] == round(1 - size.macs / result["parent"]["macs"], 4)
    assert result["val"]["top1"] == evaluate(model, toy_pictures(toy_recipe(tmp_path), Places()).splits["val"]).top1
    assert ("prune", sha256(parent / "model.safetensors")) == (
        lineage["step"],
        lineage["parents"]["weights"]["model_sha256"],
    )
    assert "val" == scan["split"]
    for layer in scan["layers"].values():
        assert all(smaller < larger for smaller, larger in pairwise((0, *layer["ratios"])))


def test_a_killed_pruning_goes_on_to_the_same_weights(tmp_path: Path, parent: Path) -> None:
    """Kill -9 in the middle of the second step's training, resume: the same weights to the last bit."""
    whole = toy_prune(tmp_path / "whole", parent)
    command = [sys.executable, str(TOY), str(tmp_path / "killed"), str(parent)]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("step 2"):
            pass
        process.kill()
    assert -signal.SIGKILL == process.returncode
    assert not (tmp_path / "killed" / "small" / "model.safetensors").exists()
    resumed = toy_prune(tmp_path / "killed", parent)
    assert sha256(whole / "model.safetensors") == sha256(resumed / "model.safetensors")


def test_the_channels_with_the_smallest_weights_go(parent: Path) -> None:
    """A channel whose weights and norm are nought is the first to go, and the answers stay as they were."""
    architecture, model = load(parent)
    path = next(name for name, _ in model.named_modules() if name.endswith("layers.0.layer.0.convolution"))
    block = model.get_submodule(path.removesuffix(".convolution"))
    with torch.no_grad():
        block.convolution.weight[3] = 0
        for tensor in (block.normalization.weight, block.normalization.bias):
            tensor[3] = 0
    train = toy_pictures(toy_recipe(parent), Places()).splits["train"]
    scores = layer_scores(model, architecture.input, "l1", train)
    assert 3 == int(scores[path].argmin())
    smaller = pruned(model, architecture.input, scores, {path: len(scores[path]) - 1})
    pictures = torch.tensor(train.pixels[:8])
    torch.testing.assert_close(model(pictures), smaller(pictures))


def test_more_than_can_go_is_refused(tmp_path: Path, parent: Path) -> None:
    """The sentence says what bounds it."""
    with pytest.raises(RecipeError, match="out of reach"):
        toy_prune(tmp_path, parent, remove=0.99)
