"""The grid of a sweep: learning rates and batch sizes, and what each pair of them came to."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelkit.train.recipe import Recipe, RecipeError, parse

MAX_CELLS = 100


@dataclass(frozen=True, slots=True)
class Grid:
    """Is what to try: every rate with every batch."""

    rates: tuple[float, ...]
    """Peak learning rates, rising."""
    batches: tuple[int, ...]
    """Pictures in one step, rising."""
    epochs: int
    """Of each training."""

    def recipes(self, recipe: Recipe) -> Iterator[Recipe]:
        """Yields a recipe for each cell, small batches and low rates first.

        Raises:
            RecipeError: a rate or a batch does not fit the recipe.
        """
        for batch in self.batches:
            for rate in self.rates:
                content = recipe.model_dump(mode="json")
                content |= {"name": f"lr{rate:g}-batch{batch}".replace("+", ""), "batch": batch, "epochs": self.epochs}
                content["optimiser"]["lr"] = rate
                yield parse(Recipe, content, f"rate {rate:g} with batch {batch}")


@dataclass(frozen=True, slots=True)
class Cell:
    """Is what one training came to."""

    rate: float
    batch: int
    top1: float
    """Share of the pictures of `val` that were right at the end."""
    loss: float
    """Mean cross-entropy on `val`, nats; no number where the training ran away."""
    seconds: float

    @property
    def ran_away(self) -> bool:
        """Says whether the weights became useless numbers."""
        return not math.isfinite(self.loss)


def read_grid(rates: str, batches: str, epochs: int) -> Grid:
    """Reads numbers with commas between them; equal ones count once.

    Raises:
        RecipeError: something is no number above 0, or there are too many pairs.
    """
    found = _numbers("--lr", rates)
    sizes = _numbers("--batch", batches)
    if any(size != int(size) for size in sizes):
        raise RecipeError(f"--batch {batches}: numbers of pictures are whole")
    if len(found) * len(sizes) > MAX_CELLS:
        raise RecipeError(f"{len(found)} rates with {len(sizes)} batches are more than {MAX_CELLS} trainings")
    return Grid(tuple(found), tuple(int(size) for size in sizes), epochs)


def best(cells: Sequence[Cell]) -> Cell | None:
    """Returns the cell with the highest top-1, of equals the one with the lowest loss; None if all ran away."""
    sound = [cell for cell in cells if not cell.ran_away]
    return min(sound, key=lambda cell: (-cell.top1, cell.loss), default=None)


def _numbers(option: str, text: str) -> list[float]:
    try:
        numbers = sorted({float(word) for word in text.split(",") if word.strip()})
    except ValueError as error:
        raise RecipeError(f"{option} {text}: numbers with commas between them, such as 0.05,0.1") from error
    if not numbers or not all(0 < number < math.inf for number in numbers):
        raise RecipeError(f"{option} {text}: at least one number, each above 0")
    return numbers
