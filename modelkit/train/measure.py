"""Measures a network on a split."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from modelkit.train.distributed import total
from modelkit.train.pixels import Split
from modelkit.train.sampling import Shard
from modelkit.train.step import autocast
from servicekit.manifest import Recipe as Input

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Figures:
    """Is how well a network does."""

    pictures: int
    loss: float
    """Mean cross-entropy with the true labels, nats."""
    top1: float
    """Share of pictures whose best class is right."""
    top5: float
    """Share of pictures with the right one among the best five."""


def evaluate(model: nn.Module, split: Split, *, precision: str = "fp32", shard: Shard | None = None) -> Figures:
    """Measures a network, which is left in evaluation mode; processes share the work and all get the same answer."""
    shard = shard or Shard()
    device = next(model.parameters()).device
    model.eval()
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    for start in range(shard.rank * _BATCH, len(split), shard.world * _BATCH):
        rows = slice(start, start + _BATCH)
        images, labels = (torch.tensor(each[rows], device=device) for each in (split.pixels, split.labels))
        with torch.inference_mode(), autocast(device.type, precision):
            sums += _sums(model(images), labels)
    loss, top1, top5 = (total(sums, shard) / len(split)).tolist()
    return Figures(len(split), loss, top1, top5)


def _sums(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    hits = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
    loss = functional.cross_entropy(logits.float(), labels, reduction="sum")
    return torch.stack([loss.double(), hits[:, 0].sum().double(), hits.sum().double()])


@dataclass(frozen=True, slots=True)
class Size:
    """Is what a network costs."""

    parameters: int
    macs: int
    """Multiply-accumulates of one picture."""


def size_of(model: nn.Module, recipe: Input) -> Size:
    """Counts parameters and multiply-accumulates, subclasses of layers included."""
    device = next(model.parameters()).device
    model.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(torch.zeros(1, recipe.height, recipe.width, 3, dtype=torch.uint8, device=device))
    return Size(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)
