"""Finds a learning rate: raises it step by step and looks where the loss falls fastest, and where it breaks out."""

import math
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from modelkit.train.files import write_json
from modelkit.train.loop import load_batch
from modelkit.train.recipe import Recipe, RecipeError
from modelkit.train.sampling import Shard
from modelkit.train.step import train_step
from modelkit.train.train import Load, Places, load_pictures, prepare, served_answers, settled, torch_settings

_SMOOTHING = 0.9
_BROKEN = 4.0
"""The search ends where the smoothed loss is this many times its best, and more than that of a guess: a network that
fits already has a loss near nothing, whose noise is many times its best."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Is the rates to try.

    Raises:
        RecipeError: they are not positive, do not rise, or are fewer than two.
    """

    low: float
    high: float
    steps: int

    def __post_init__(self) -> None:
        """Refuses what is no range."""
        if not 0 < self.low < self.high < math.inf:
            raise RecipeError(f"rates from --low {self.low:g} to --high {self.high:g}: they must rise from above 0")
        if self.steps < 2:
            raise RecipeError(f"--steps {self.steps}: a range has at least 2 rates")

    def rate(self, step: int) -> float:
        """Returns the rate of a step: each is the same factor above the last."""
        return float(self.low * (self.high / self.low) ** (step / (self.steps - 1)))


@dataclass(frozen=True, slots=True)
class Found:
    """Is what the search saw."""

    rates: list[float]
    losses: list[float]
    """Smoothed."""
    plot: Path

    @property
    def lowest(self) -> float:
        """Returns the rate at which the loss is lowest: training near it is on the edge."""
        return self.rates[self.losses.index(min(self.losses))]

    @property
    def suggestion(self) -> float:
        """Returns a peak rate with room to the edge: a third of the rate at which the loss is lowest."""
        return self.lowest / 3

    @property
    def still_falls(self) -> bool:
        """Says whether the loss was lowest at the last rate: the edge, and so the best rate, may lie beyond."""
        return self.lowest == self.rates[-1]


def search(recipe: Recipe, places: Places, sweep: Sweep, *, load: Load = load_pictures) -> Found:
    """Takes one step at each rate, and writes figures and a plot into `<run>-find-lr`; no run is touched.

    Args:
        recipe: what to train.
        places: where things are kept.
        sweep: the rates.
        load: brings the pictures.

    Raises:
        RecipeError: the recipe does not fit the data or the machine, or the loss is no number from the first step on.
        DataError: there is no such data set.
    """
    folder = places.runs / f"{recipe.name}-find-lr"
    recipe = settled(recipe, folder, Shard())
    folder.mkdir(parents=True, exist_ok=True)
    with torch_settings(recipe):
        pictures = load(recipe, places)
        _, course = prepare(recipe, pictures, folder, Shard())
        course.answers = served_answers(course, pictures, places)
        course.learner.model.train()
        losses: list[float] = []
        for step in range(sweep.steps):
            parts = load_batch(course, step).parts(recipe.accumulate)
            losses.append(train_step(course.learner, parts, sweep.rate(step)).loss)
            if _broken(losses, course.classes):
                break
    smooth = smoothed(losses)
    if not smooth:
        raise RecipeError(f"the loss is no number at the first rate, {sweep.low:g}: look at the recipe and its weights")
    found = Found([sweep.rate(step) for step in range(len(smooth))], smooth, folder / "find_lr.png")
    write_json(folder / "find_lr.json", {"rates": found.rates, "losses": smooth, "suggestion": found.suggestion})
    _plot(found)
    return found


def smoothed(values: list[float]) -> list[float]:
    """Returns the exponential moving averages, corrected for their start; values that are no numbers are left out."""
    average, result = 0.0, []
    for count, value in enumerate((each for each in values if math.isfinite(each)), start=1):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * value
        result.append(average / (1 - _SMOOTHING**count))
    return result


def _broken(losses: list[float], classes: int) -> bool:
    smooth = smoothed(losses)
    return not math.isfinite(losses[-1]) or smooth[-1] > max(_BROKEN * min(smooth), math.log(classes))


def _plot(found: Found) -> None:
    with mpl.rc_context({"svg.hashsalt": "triptych"}):
        figure = Figure(figsize=(6, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(found.rates, found.losses)
        axes.axvline(found.suggestion, linestyle="--", color="grey", label=f"suggested: {found.suggestion:.3g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
        axes.legend()
        figure.savefig(found.plot, dpi=120)
