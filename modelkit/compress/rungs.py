"""Makes the rungs of the ladder: the network as given, others for its task, pruned ones, and each of them in INT8.

Where INT8 after training costs too much, the network learns with its rounding and is quantised again. Every candidate
is a run of its own: what exists is only named, and what was cut off goes on where it was.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from modelkit.compress.ladder import Arithmetic
from modelkit.compress.prune import prune
from modelkit.compress.quantise import Quantising, dataset_of, quantise_run
from modelkit.compress.recipe import PruneRecipe
from modelkit.export_run import ParityError
from modelkit.gate import GateError
from modelkit.train.loop import Watch
from modelkit.train.networks import ARCHITECTURE_FILE, Architecture
from modelkit.train.recipe import Network, Recipe, RecipeError, parse
from modelkit.train.run import RESULT_FILE
from modelkit.train.train import Pictures, Places, train


@dataclass(frozen=True)
class Search:
    """Says what to try."""

    run: Path
    """Folder of the network to start from."""
    pruning: PruneRecipe
    """How each pruning goes; `name`, `parent` and `remove` are the search's."""
    removes: tuple[float, ...]
    """Shares of the multiply-accumulates to take away, one pruning each."""
    aware: Recipe
    """How a network learns with INT8's rounding; `name`, `dataset`, `input`, `network` and `precision` are the
    search's."""
    aware_above: float = 0.1
    """Points of accuracy on `val` that INT8 may cost a network before it learns with INT8's rounding."""
    students: tuple[Path, ...] = ()
    """Folders of other finished runs for the same task, such as distilled students."""


@dataclass(frozen=True)
class Rung:
    """Is a candidate that was made."""

    run: Path
    made: str
    """What the network is, in a few words."""
    arithmetic: Arithmetic


@dataclass(frozen=True)
class Climb:
    """Is a search under way."""

    search: Search
    places: Places
    pictures: Pictures
    watch: Watch | None = None
    refused: dict[str, str] = field(default_factory=dict)
    """By the name of a run that was not finished: which check did not let its INT8 file pass, and why."""

    def rungs(self) -> Iterator[Rung]:
        """Makes the candidates one after the other, the given network first.

        Raises:
            RecipeError: a run is not finished or was made otherwise, or a share of the multiply-accumulates cannot go.
        """
        for made, run in self._networks():
            yield Rung(run, made, "fp32")
            small = self._quantised(run)
            if small is not None:
                yield Rung(small, made, "INT8")
                yield from self._aware(run, made, small)

    def _networks(self) -> Iterator[tuple[str, Path]]:
        search = self.search
        yield "as given", search.run
        for student in search.students:
            yield f"student {student.name}", student
        for remove in sorted(search.removes):
            name = f"{search.run.name}-without-{round(100 * remove)}"
            recipe = search.pruning.model_copy(update={"name": name, "parent": search.run, "remove": remove})
            run = prune(recipe, self.places, resume=True, watch=self.watch, read=lambda *_: self.pictures)
            yield f"{remove:.0%} of its work pruned", run

    def _quantised(self, run: Path) -> Path | None:
        """Returns the run in INT8; None where its file did not pass a check, which ends no search."""
        plan = Quantising(name=f"{run.name}-int8", parent=run)
        try:
            return quantise_run(plan, self.places, read=lambda *_: self.pictures)
        except (ParityError, GateError) as error:
            self.refused[plan.name] = str(error)
            return None

    def _aware(self, run: Path, made: str, small: Path) -> Iterator[Rung]:
        """Lets a network learn with INT8's rounding and quantises it again, where INT8 alone cost too much."""
        lost = json.loads((small / RESULT_FILE).read_text(encoding="utf-8"))["drop_points_val"]
        if lost <= self.search.aware_above:
            return
        update = {
            "name": f"{run.name}-qat",
            "dataset": dataset_of(run),
            "input": architecture_of(run).input,
            "network": Network(source="run", pretrained=str(run)),
            "precision": "int8",
        }
        recipe = self.search.aware.model_copy(update=update)
        learned = train(recipe, self.places, resume=True, watch=self.watch, load=lambda *_: self.pictures)
        again = self._quantised(learned)
        if again is not None:
            yield Rung(again, made, "INT8 after QAT")


def architecture_of(run: Path) -> Architecture:
    """Reads what network a run has.

    Raises:
        RecipeError: there is no such run, or the file is not what training writes.
    """
    path = run / ARCHITECTURE_FILE
    try:
        return parse(Architecture, json.loads(path.read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise RecipeError(f"{run} holds no finished run: {error}") from error
