"""Which pictures a step sees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkit.train.sampling import Shard, batch_indices, step_seed, steps_per_epoch


@given(pictures=st.integers(8, 200), batch=st.integers(1, 8), epoch=st.integers(0, 3), seed=st.integers(0, 9))
def test_an_epoch_sees_no_picture_twice(pictures: int, batch: int, epoch: int, seed: int) -> None:
    """The batches of an epoch are whole and share no picture."""
    steps = steps_per_epoch(pictures, batch)
    seen = np.concatenate([batch_indices(pictures, batch, epoch * steps + i, seed) for i in range(steps)])
    assert steps * batch == len(seen) == len(np.unique(seen))


@given(world=st.sampled_from([1, 2, 4]), size=st.integers(1, 4))
def test_shards_make_up_the_batch(world: int, size: int) -> None:
    """Every row belongs to one process, in order, and neighbours to the same one."""
    batch = 2 * world * size
    rows = [list(range(batch))[Shard(rank, world).of(batch)] for rank in range(world)]
    assert list(range(batch)) == [row for part in rows for row in part]
    assert all(part[0] % 2 == 0 for part in rows)


def test_what_does_not_fit_is_refused() -> None:
    """A batch that parts neighbours, and a split smaller than a batch, are named."""
    with pytest.raises(ValueError, match="batch of 6 does not split evenly among 2 processes"):
        Shard(0, 2).of(6)
    with pytest.raises(ValueError, match="5 pictures do not fill one batch of 8"):
        steps_per_epoch(5, 8)


def test_seeds_differ_by_step_and_stream_and_repeat() -> None:
    """A step's randomness is its own, and the same in a resumed run."""
    seeds = [step_seed(1, step, stream) for step in range(20) for stream in range(3)]
    assert 60 == len(set(seeds))
    assert step_seed(1, 7, 2) == step_seed(1, 7, 2)
