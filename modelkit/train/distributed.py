"""Training in several processes: torchrun starts them, each computes its rows of a batch, gradients are averaged."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from modelkit.train.sampling import Shard

T = TypeVar("T")


@contextmanager
def process_group(device: str) -> Iterator[Shard]:
    """Joins the other processes where torchrun started this one; else trains alone.

    Args:
        device: `cuda` talks over NCCL, `cpu` over gloo.
    """
    if not distributed.is_torchelastic_launched():
        yield Shard()
        return
    if device == "cuda":
        torch.cuda.set_device(distributed.get_node_local_rank())
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Shard(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def shared(model: nn.Module, shard: Shard) -> nn.Module:
    """Returns the model so wrapped that backward averages the gradients of all processes."""
    if shard.world == 1:
        return model
    wrapped: nn.Module = DistributedDataParallel(model, broadcast_buffers=False)
    return wrapped


def average_buffers(model: nn.Module, shard: Shard) -> None:
    """Averages what batch norms have seen, so that every process holds the same network."""
    for buffer in model.buffers():
        if shard.world > 1 and buffer.is_floating_point():
            distributed.all_reduce(buffer)
            buffer.div_(shard.world)


def total(figures: Tensor, shard: Shard) -> Tensor:
    """Returns the sum over all processes."""
    if shard.world > 1:
        distributed.all_reduce(figures)
    return figures


def told_by_first(value: T, shard: Shard) -> T:
    """Returns the first process's value to all of them."""
    told = [value]
    if shard.world > 1:
        distributed.broadcast_object_list(told)
    return told[0]


def read_for_all(path: Path, shard: Shard) -> bytes | None:
    """Returns what the first process reads, to all of them; None where there is no file.

    Processes on several nodes share a volume, which may show one of them for a while what another has replaced.
    """
    return told_by_first(path.read_bytes() if shard.rank == 0 and path.exists() else None, shard)


def wait(shard: Shard) -> None:
    """Returns when every process has come here."""
    if shard.world > 1:
        distributed.barrier()
