"""Finding a learning rate: the suggestion trains, the search repeats itself, and touches no run."""

import json
from pathlib import Path

import pytest
from slow.toy_training import toy_pictures, toy_recipe, toy_train

from modelkit.train.find_lr import Found, Sweep, search
from modelkit.train.recipe import RecipeError
from modelkit.train.run import sha256
from modelkit.train.train import Places

pytestmark = [pytest.mark.timeout(600)]

RANGE = Sweep(1e-4, 30.0, 60)
PLAIN = ("augment={}", "ema=null", "label_smoothing=0", "clip_norm=null")


def _found(folder: Path, *changes: str, sweep: Sweep = RANGE) -> Found:
    return search(toy_recipe(folder, *changes), Places(runs=folder), sweep, load=toy_pictures)


def _loss(folder: Path, rate: float) -> float:
    run = toy_train(folder, f"name=rate{rate:g}", f"optimiser.lr={rate}", *PLAIN)
    return float(json.loads((run / "result.json").read_text())["val"]["loss"])


def test_the_suggested_rate_trains_better_than_one_far_off(tmp_path: Path) -> None:
    """A hundredth of it learns next to nothing, a hundred times as much runs away; the loss breaks out in the range."""
    found = _found(tmp_path, *PLAIN)
    suggested, low, high = (_loss(tmp_path, found.suggestion * times) for times in (1, 0.01, 100))
    assert suggested < low - 0.1
    assert suggested < high - 0.1
    assert not found.still_falls
    assert found.losses[-1] > 1.5 * min(found.losses)


def test_a_search_repeats_itself_and_touches_no_run(tmp_path: Path) -> None:
    """Same seed, same curve, also beside a run of that name and over an older search; another seed, another curve."""
    first = _found(tmp_path / "first")
    run = toy_train(tmp_path)
    before = {path: sha256(path) for path in run.rglob("*") if path.is_file()}
    other = _found(tmp_path, "seed=4")
    again = _found(tmp_path)
    assert (first.rates, first.losses) == (again.rates, again.losses)
    assert first.losses != other.losses
    written = json.loads((tmp_path / "toy-find-lr" / "find_lr.json").read_text())
    assert written == {"rates": first.rates, "losses": first.losses, "suggestion": first.suggestion}
    assert before == {path: sha256(path) for path in run.rglob("*") if path.is_file()}
    assert {"toy", "toy-find-lr", "toy.yaml"} == {path.name for path in tmp_path.iterdir()} - {"first"}


def test_noise_of_a_network_that_fits_ends_no_search(tmp_path: Path) -> None:
    """Its loss is near nothing, and now and then many times that."""
    parent = toy_train(tmp_path, "epochs=20", *PLAIN)
    network = f"network={{source: run, pretrained: {parent}}}"
    found = _found(tmp_path, "name=child", network, "batch=4", *PLAIN)
    assert found.losses[0] < 0.05
    assert len(found.rates) > RANGE.steps / 2


def test_a_range_without_an_edge_is_told(tmp_path: Path) -> None:
    """Where the loss still falls at the last rate, the suggestion is only the range's."""
    assert _found(tmp_path, sweep=Sweep(0.001, 0.02, 20)).still_falls


@pytest.mark.parametrize(
    ("low", "high", "steps", "told"),
    [
        (0.0, 1.0, 10, "from --low 0 to --high 1: they must rise from above 0"),
        (1.0, 1.0, 10, "from --low 1 to --high 1: they must rise"),
        (2.0, 1.0, 10, "from --low 2 to --high 1: they must rise"),
        (0.1, float("inf"), 10, "to --high inf: they must rise"),
        (0.1, 1.0, 1, "--steps 1: a range has at least 2 rates"),
    ],
)
def test_a_range_without_sense_is_refused(low: float, high: float, steps: int, told: str) -> None:
    """With the options that make it."""
    with pytest.raises(RecipeError, match=told):
        Sweep(low, high, steps)


def test_a_loss_that_is_no_number_is_told(tmp_path: Path) -> None:
    """Weights that are useless from the start have no best rate."""
    with pytest.raises(RecipeError, match=r"the loss is no number at the first rate, 0.0001"):
        _found(tmp_path, "network.mean=[.nan, 0, 0]")
