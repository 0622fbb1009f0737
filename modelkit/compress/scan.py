"""Sees what each layer can do without: takes some of its channels, and nothing else, and measures."""

from collections.abc import Callable
from dataclasses import asdict

from modelkit.compress.channels import Scores, pruned
from modelkit.compress.plan import Sensitivity, rounded
from modelkit.compress.recipe import PruneRecipe
from modelkit.train.measure import evaluate
from modelkit.train.networks import Classifier
from modelkit.train.pixels import Split
from servicekit.manifest import Recipe as Input

Told = Callable[[int, int, str], None]


def scan_layers(
    model: Classifier, recipe: PruneRecipe, takes: Input, scores: Scores, split: Split, told: Told
) -> tuple[float, dict[str, Sensitivity]]:
    """Measures the network without a share of the channels of one layer at a time.

    Args:
        model: the network.
        recipe: names the shares.
        takes: what the network takes.
        scores: which channels go first.
        split: pictures to measure with; only the first `recipe.scan.pictures` count.
        told: hears how far it is.

    Returns:
        The accuracy of the whole network, and what each layer means to it.
    """
    judged = split.first(recipe.scan.pictures)
    base = evaluate(model, judged).top1
    layers = {}
    for number, (path, scored) in enumerate(scores.items(), start=1):
        rest = {rounded(len(scored), ratio, recipe.round_to) for ratio in recipe.scan.ratios}
        keep = sorted(rest - {len(scored)}, reverse=True)  # shares that round to the same channels are one
        top1 = tuple(evaluate(pruned(model, takes, scores, {path: each}), judged).top1 for each in keep)
        layers[path] = Sensitivity(len(scored), tuple(1 - each / len(scored) for each in keep), top1)
        told(number, len(scores), "sensitivity")
    return base, layers


def as_json(base: float, layers: dict[str, Sensitivity], split: str, pictures: int) -> dict[str, object]:
    """Returns what a scan saw, for its file."""
    return {
        "split": split,
        "pictures": pictures,
        "top1": base,
        "layers": {path: asdict(each) for path, each in layers.items()},
    }


def from_json(content: dict[str, object]) -> tuple[float, dict[str, Sensitivity]]:
    """Returns what `as_json` was given."""
    base, layers = content["top1"], content["layers"]
    assert isinstance(base, float)  # noqa: S101 -- our own file
    assert isinstance(layers, dict)  # noqa: S101
    seen = {
        path: Sensitivity(each["channels"], tuple(each["ratios"]), tuple(each["top1"])) for path, each in layers.items()
    }
    return base, seen
