"""Training: killed and resumed, in two processes, from other weights."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch
from candidates import colour_dataset, colour_picture
from slow.toy_training import toy_killed, toy_pictures, toy_recipe, toy_train

from modelkit.data.importing import Import, import_dataset
from modelkit.data.records import DataError
from modelkit.train.augment import Batch
from modelkit.train.distributed import shared
from modelkit.train.journal import read_metrics
from modelkit.train.measure import evaluate
from modelkit.train.networks import load
from modelkit.train.objective import labels_only
from modelkit.train.recipe import Optimiser, RecipeError, load_recipe
from modelkit.train.run import alone, sha256
from modelkit.train.sampling import Shard
from modelkit.train.step import Learner, fastest_precision, make_optimiser, train_step
from modelkit.train.train import Places, prepare, train

pytestmark = [pytest.mark.timeout(600)]

TOY = Path(__file__).parent / "toy_training.py"
ADAMW = ("optimiser={kind: adamw, lr: 0.01, weight_decay: 0.05}",)
EARLY = ("epochs=30", "monitor=val", "early_stop=2", "schedule={kind: constant}")


def _weights(folder: Path) -> str:
    return sha256(folder / "toy" / "model.safetensors")


def _losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder / "toy", "train")]


@pytest.mark.parametrize(
    ("kill_after", "changes"),
    [(1, ()), (5, ()), (4, (*ADAMW, "freeze_epochs=1")), (21, EARLY)],
    ids=["before a checkpoint", "after one", "AdamW, with a frozen backbone", "stale for an epoch"],
)
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path, kill_after: int, changes: tuple[str, ...]) -> None:
    """Kill -9, resume: weights and losses are the same to the last bit, and an early stop comes at the same step."""
    toy_train(tmp_path / "whole", *changes)
    toy_killed(tmp_path / "killed", kill_after, *changes)
    assert not (tmp_path / "killed" / "toy" / "model.safetensors").exists()
    toy_train(tmp_path / "killed", *changes)
    assert _weights(tmp_path / "whole") == _weights(tmp_path / "killed")
    assert _losses(tmp_path / "whole") == _losses(tmp_path / "killed")


def test_a_run_goes_on_with_the_data_that_it_began_with(tmp_path: Path) -> None:
    """`latest` is the version made last when a run begins, and its recipe says which; one made later is for others."""
    first = colour_dataset(tmp_path, splits=("train", "val"))
    changes = ("dataset={name: colours}", "input={width: 8, height: 8, crop: 1.0}", "augment={}", "batch=8")
    recipe = toy_recipe(tmp_path, *changes)
    places = Places(tmp_path / "datasets", tmp_path / "runs", tmp_path / "pixels")

    def dies(done: int, _all: int, _words: str) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, places, watch=dies)
    (tmp_path / "pictures" / "train" / "red" / "one-more.png").write_bytes(colour_picture("red", 999))
    pictures = Import("colours", tmp_path / "pictures", labels=tmp_path / "labels.txt", license="CC0-1.0")
    second = import_dataset(tmp_path / "datasets", pictures)
    runs = [train(each, places, resume=True) for each in (recipe, toy_recipe(tmp_path, "name=other", *changes))]
    for run, dataset in zip(runs, (first, second), strict=True):
        assert load_recipe(run / "recipe.yaml").dataset.version == dataset.manifest.version
        lineage = json.loads((run / "lineage.json").read_text())
        assert lineage["dataset"] == {"name": "colours", "version": dataset.manifest.version}
    assert first.manifest.version != second.manifest.version


def test_the_name_of_a_quantised_run_is_taken(tmp_path: Path) -> None:
    """Its recipe names no data set, and is another one."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "recipe.yaml").write_text("name: toy\nparent: other\nmethod: minmax\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="was started with another recipe, which differs in dataset"):
        toy_train(tmp_path)


def test_two_processes_learn_as_one(tmp_path: Path) -> None:
    """Two gloo processes have the loss curve of one process that splits its batches in two, and the same pictures."""
    toy_train(tmp_path / "one", "accumulate=2")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*torchrun, str(TOY), str(tmp_path / "two")], check=True, capture_output=True, timeout=300)
    one, two = _losses(tmp_path / "one"), _losses(tmp_path / "two")
    assert 12 == len(two)
    assert pytest.approx(one, rel=1e-3) == two


def test_a_finished_run_says_what_it_is(tmp_path: Path) -> None:
    """The folder holds result, lineage and a network that answers as measured; the same name is not trained twice."""
    folder = toy_train(tmp_path)
    result, lineage = (json.loads((folder / f"{name}.json").read_text()) for name in ("result", "lineage"))
    architecture, model = load(folder)
    pictures = toy_pictures(toy_recipe(tmp_path), Places())
    assert result["val"]["top1"] == evaluate(model, pictures.splits["val"]).top1
    assert ("train", sha256(folder / "model.safetensors")) == (lineage["step"], lineage["model_sha256"])
    assert ("row", "column", "neither") == architecture.labels
    with pytest.raises(RecipeError, match="--resume goes on"):
        train(toy_recipe(tmp_path), Places(runs=tmp_path), load=toy_pictures)
    with pytest.raises(RecipeError, match="differs in optimiser"):
        train(toy_recipe(tmp_path, "optimiser.lr=1"), Places(runs=tmp_path), resume=True, load=toy_pictures)


def test_training_learns(tmp_path: Path) -> None:
    """Twenty epochs of a simple task, in bf16, get nearly all of the unseen pictures right."""
    folder = toy_train(tmp_path, "epochs=20", "augment={}", "precision=bf16", "ema=null")
    assert 0.9 < json.loads((folder / "result.json").read_text())["val"]["top1"]


def test_early_stop_keeps_the_best_weights(tmp_path: Path) -> None:
    """A run whose rate ruins it ends before its time, with the weights of its best epoch."""
    folder = toy_train(tmp_path, *EARLY)
    measured = [line["top1"] for line in read_metrics(folder, "val")]
    assert len(measured) < 30
    assert max(measured) == json.loads((folder / "result.json").read_text())["val"]["top1"]


def test_transfer_freezes_all_but_the_last_layer(tmp_path: Path) -> None:
    """While frozen only the head changes, batch norms included; a student's lineage names its parents."""
    parent = toy_train(tmp_path)
    network = f"network={{source: run, pretrained: {parent}}}"
    teacher = f"teacher={{run: {parent}}}"
    child = toy_train(tmp_path, "name=child", network, teacher, "epochs=1", "freeze_epochs=1", "ema=null")
    before, after = (load(folder)[1].state_dict() for folder in (parent, child))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"net.classifier.1.weight", "net.classifier.1.bias"} == changed
    lineage = json.loads((child / "lineage.json").read_text())
    assert {"teacher", "weights"} == set(lineage["parents"])
    assert sha256(parent / "model.safetensors") == lineage["parents"]["teacher"]["model_sha256"]


def test_a_step_is_that_of_plain_sgd() -> None:
    """One step moves a weight by rate times gradient, norms and biases without decay; parts add up to the whole."""
    results = []
    for parts in (1, 2):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).double()
        options = Optimiser(lr=1.0, momentum=0.0, weight_decay=0.1)
        batch = Batch(torch.rand(4, 2, 2, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]])
        weight, bias = (p.detach().clone() for p in model.parameters())
        model.zero_grad()
        labels_only(batch, model(batch.images)).backward()
        gradients = [p.grad.clone() for p in model.parameters()]
        learner = Learner(shared(model, Shard()), make_optimiser(model, options), labels_only)
        train_step(learner, batch.parts(parts), lr=0.5)
        torch.testing.assert_close(model[1].weight, weight - 0.5 * (gradients[0] + 0.1 * weight))
        torch.testing.assert_close(model[1].bias, bias - 0.5 * gradients[1])
        results.append(model[1].weight.detach().clone())
    torch.testing.assert_close(results[0], results[1])


def test_steps_are_those_of_plain_adamw() -> None:
    """Two steps move a weight by its mean gradient over the root of its mean square; a bias the same, without decay."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).double()
    options = Optimiser(kind="adamw", lr=1.0, betas=(0.8, 0.95), weight_decay=0.1)
    batch = Batch(torch.rand(4, 2, 2, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]])
    learner = Learner(shared(model, Shard()), make_optimiser(model, options), labels_only)
    expected = [p.detach().clone() for p in model.parameters()]
    means, squares = ([torch.zeros_like(each) for each in expected] for _ in range(2))
    for step, rate in enumerate((0.5, 0.25), start=1):
        model.zero_grad()
        labels_only(batch, model(batch.images)).backward()
        for index, (p, decay) in enumerate(zip(model.parameters(), (0.1, 0.0), strict=True)):
            means[index] = 0.8 * means[index] + 0.2 * p.grad
            squares[index] = 0.95 * squares[index] + 0.05 * p.grad**2
            mean, square = means[index] / (1 - 0.8**step), squares[index] / (1 - 0.95**step)
            expected[index] = (1 - rate * decay) * expected[index] - rate * mean / (square.sqrt() + 1e-8)
        train_step(learner, [batch], rate)
        torch.testing.assert_close([p.detach() for p in model.parameters()], expected)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_norms_and_biases_do_not_decay(kind: Literal["sgd", "adamw"]) -> None:
    """With either optimiser, in a network that has both."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    names = {id(p): name for name, p in model.named_parameters()}
    groups = make_optimiser(model, Optimiser(kind=kind, lr=0.1, weight_decay=0.1)).param_groups
    decays = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    assert {name for name, decay in decays.items() if decay} == {"0.weight", "2.weight"}
    assert decays.keys() == set(names.values())


def test_an_odd_teacher_is_refused(tmp_path: Path) -> None:
    """A teacher of other pictures is named before the first step."""
    parent = toy_train(tmp_path)
    recipe = toy_recipe(tmp_path, "name=odd", f"teacher={{run: {parent}}}", "input.width=14")
    with pytest.raises(RecipeError, match="other classes or takes other pictures"):
        prepare(recipe, toy_pictures(recipe, Places()), tmp_path, Shard())


def test_a_refused_recipe_leaves_its_name_free(tmp_path: Path) -> None:
    """A mistake that only the data show makes no run: the same command, mended, trains."""
    places = Places(tmp_path / "datasets", tmp_path / "runs", tmp_path / "pixels")
    with pytest.raises(DataError, match="no data set 'toy'"):
        train(toy_recipe(tmp_path), places)
    with pytest.raises(RecipeError, match=r"network\.config\.layr_type is unknown; there are .*layer_type"):
        train(toy_recipe(tmp_path, "network.config.layr_type=basic"), places, load=toy_pictures)
    with pytest.raises(RecipeError, match="small_stem is of ResNets, which 'vit' is not"):
        train(toy_recipe(tmp_path, "network.config={model_type: vit, image_size: 12}"), places, load=toy_pictures)
    assert not (places.runs / "toy").exists()


def test_pictures_without_labels_are_told_as_such(tmp_path: Path) -> None:
    """A flat folder is a data set, of which nothing can be learnt yet."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "one.png").write_bytes(colour_picture("red", 1))
    version = import_dataset(tmp_path / "datasets", Import("toy", pictures)).manifest.version
    with pytest.raises(RecipeError, match=rf"data set toy {version} has no pictures with a label in train"):
        train(toy_recipe(tmp_path), Places(tmp_path / "datasets", tmp_path / "runs", tmp_path / "pixels"))


def test_a_refusal_keeps_what_was_learnt(tmp_path: Path) -> None:
    """Only a run that has nothing but its recipe goes."""
    toy_killed(tmp_path, 4)
    with pytest.raises(DataError, match="no data set 'toy'"):
        train(toy_recipe(tmp_path), Places(tmp_path / "datasets", tmp_path), resume=True)
    assert (tmp_path / "toy" / "checkpoint.pt").exists()


def test_auto_precision_is_what_the_machine_computes_in(tmp_path: Path) -> None:
    """The run's own recipe says which; a CPU without bf16 does not imitate it."""
    folder = toy_train(tmp_path, "epochs=1", "precision=auto")
    known = torch.cpu.get_capabilities()
    has_bf16 = any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    assert load_recipe(folder / "recipe.yaml").precision == ("bf16" if has_bf16 else "fp32")


def test_auto_precision_of_a_run_that_has_begun_is_the_runs(tmp_path: Path) -> None:
    """Wherever it goes on: another machine's choice would be another recipe."""
    other = "fp32" if fastest_precision("cpu") == "bf16" else "bf16"
    first = toy_train(tmp_path, "epochs=1", f"precision={other}")
    assert toy_train(tmp_path, "epochs=1", "precision=auto") == first
    assert load_recipe(first / "recipe.yaml").precision == other


def test_a_run_has_one_process_at_a_time(tmp_path: Path) -> None:
    """Another one is refused at once; when the first is killed, what it left half-written goes."""
    with subprocess.Popen([sys.executable, TOY, tmp_path, "epochs=200"], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        first.stdout.readline()
        try:
            with pytest.raises(
                RecipeError, match=r"another process works in .*toy: wait for it, or choose another name"
            ):
                toy_train(tmp_path, "epochs=200")
        finally:
            first.kill()
    half = tmp_path / "toy" / f".unfinished-checkpoint.pt-{first.pid}"
    half.write_bytes(b"half")
    with alone(tmp_path / "toy"):
        assert not half.exists()
