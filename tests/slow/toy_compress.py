"""A tiny search, and what kills it from within: `python toy_compress.py FOLDER STEP MOMENT`, STEP quantise or compress.

MOMENT is `EVENT:WORD`: the process dies by SIGKILL before its first such event of Python's audit, such as `os.rename`,
that names a path with the word in it.
"""

import os
import signal
import sys
from pathlib import Path

from slow.toy_pruning import toy_prune_recipe
from slow.toy_training import toy_pictures, toy_recipe

from modelkit.compress.ladder import Wanted
from modelkit.compress.quantise import Quantising, quantise_run
from modelkit.compress.rungs import Search
from modelkit.compress.search import Found, compress
from modelkit.train.train import Pictures, Places

ANY = Wanted(max_drop=100)


def judged_pictures(*_: object) -> Pictures:
    """Returns the toy's pictures, whose `val` also stands for `test`."""
    pictures = toy_pictures()
    return Pictures(pictures.dataset, pictures.labels, {**pictures.splits, "test": pictures.splits["val"]})


def toy_quantise(folder: Path) -> Path:
    """Quantises the run `toy` in a folder."""
    return quantise_run(Quantising(name="small", parent=folder / "toy"), Places(runs=folder), read=judged_pictures)


def toy_search(folder: Path, *, above: float = 100, removes: tuple[float, ...] = (0.4,)) -> Search:
    """Returns a search from the run `toy` in a folder; what loses more points than `above` learns with the rounding."""
    aware = toy_recipe(folder, "epochs=2", "augment={}", "ema=null", "optimiser.lr=0.005")
    return Search(folder / "toy", toy_prune_recipe(folder / "toy"), removes, aware, aware_above=above)


def toy_compress(search: Search, wanted: Wanted = ANY) -> Found:
    """Searches, or goes on."""
    return compress(search, wanted, Places(runs=search.run.parent), read=judged_pictures)


def die_at(moment: str) -> None:
    """Has this process killed at a moment."""
    name, _, word = moment.partition(":")

    def look(event: str, arguments: tuple[object, ...]) -> None:
        if event == name and any(word in str(argument) for argument in arguments):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


if __name__ == "__main__":
    die_at(sys.argv[3])
    if sys.argv[2] == "quantise":
        toy_quantise(Path(sys.argv[1]))
    else:
        toy_compress(toy_search(Path(sys.argv[1]), above=-100))
