"""Which pictures a step sees: a pure function of seed, step and rank, so that a resumed run needs no position saved."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Shard:
    """Is one process's part of every batch."""

    rank: int = 0
    world: int = 1

    def of(self, batch: int) -> slice:
        """Returns the rows of a batch that are this process's: neighbours stay together.

        Raises:
            ValueError: the batch does not split into even parts.
        """
        if batch % (2 * self.world):
            raise ValueError(f"a batch of {batch} does not split evenly among {self.world} processes, in pairs")
        size = batch // self.world
        return slice(self.rank * size, (self.rank + 1) * size)


def steps_per_epoch(pictures: int, batch: int) -> int:
    """Returns how many whole batches an epoch has; the rest is left for another epoch's order.

    Raises:
        ValueError: there are fewer pictures than one batch has.
    """
    if pictures < batch:
        raise ValueError(f"{pictures} pictures do not fill one batch of {batch}")
    return pictures // batch


def batch_indices(pictures: int, batch: int, step: int, seed: int) -> npt.NDArray[np.int64]:
    """Returns the pictures of a step, of all processes together.

    Args:
        pictures: in the split.
        batch: pictures a step.
        step: of the whole run, from 0.
        seed: of the run.
    """
    epoch, position = divmod(step, steps_per_epoch(pictures, batch))
    order = np.random.default_rng((seed, epoch)).permutation(pictures)
    return order[position * batch : (position + 1) * batch]


def step_seed(seed: int, step: int, stream: int = 0) -> int:
    """Returns the seed of one step's randomness; streams are independent of each other."""
    return int(np.random.SeedSequence((seed, step, stream)).generate_state(1, np.uint64)[0] >> 1)
