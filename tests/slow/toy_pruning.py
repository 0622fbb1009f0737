"""A tiny pruning that a test starts as a process of its own: `python toy_pruning.py FOLDER PARENT`."""

import sys
from pathlib import Path

from slow.toy_training import toy_pictures

from modelkit.compress.prune import prune
from modelkit.compress.recipe import PruneRecipe
from modelkit.train.recipe import Augment, Data, Optimiser
from modelkit.train.train import Places


def toy_prune_recipe(parent: Path, *, importance: str = "l1", remove: float = 0.5) -> PruneRecipe:
    """Returns a recipe that takes seconds."""
    return PruneRecipe.model_validate(
        {
            "name": "small",
            "parent": parent,
            "dataset": Data(name="toy"),
            "importance": importance,
            "remove": remove,
            "epochs": 2,
            "batch": 16,
            "optimiser": Optimiser(lr=0.02),
            "augment": Augment(flip=True),
            "checkpoint_steps": 2,
            "threads": 1,
        }
    )


def toy_prune(folder: Path, parent: Path, *, importance: str = "l1", remove: float = 0.5) -> Path:
    """Prunes, or goes on; each step of training is printed."""
    return prune(
        toy_prune_recipe(parent, importance=importance, remove=remove),
        Places(runs=folder),
        resume=True,
        watch=lambda _done, _all, words: print(words, flush=True),  # noqa: T201 -- the test reads it
        read=toy_pictures,
    )


if __name__ == "__main__":
    toy_prune(Path(sys.argv[1]), Path(sys.argv[2]))
