"""Changes batches of pictures, uint8 `[n, height, width, 3]`, as a pure function of a seed.

Whatever is random is drawn for the whole batch of all processes, and then each takes its rows: two processes see what
one would. Pictures are mixed with their neighbour in the batch, which sampling has drawn, and which no shard parts off.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from modelkit.train.recipe import Augment

_ERASED_SHARE = (0.05, 0.25)
"""Bounds of the erased rectangle's area, as a share of the picture."""


@dataclass(frozen=True)
class Batch:
    """Is what one process sees in one step."""

    images: Tensor
    """uint8 `[n, height, width, 3]`."""
    targets: Tensor
    """fp32 `[n, classes]`, each row a distribution."""
    answers: Tensor | None = None
    """fp32 `[n, classes]`: a served teacher's logits, but for a constant of each row."""

    def parts(self, count: int) -> list["Batch"]:
        """Splits the batch evenly; neighbours stay together."""
        answers = [None] * count if self.answers is None else self.answers.chunk(count)
        parts = zip(self.images.chunk(count), self.targets.chunk(count), answers, strict=True)
        return [Batch(*part) for part in parts]


@dataclass(frozen=True)
class Draw:
    """Is a batch's randomness: `[batch]` each, uniform in [0, 1) where nothing else is said."""

    flip: Tensor
    shift: Tensor
    """`[batch, 2]`."""
    erase: Tensor
    """`[batch, 5]`: whether, area, aspect, top, left."""
    blend: float
    """Share of itself that a picture keeps; 1 mixes nothing."""
    cut: bool
    """Puts a patch in instead of blending."""
    patch: Tensor
    """`[2]`: where the patch stands."""

    @property
    def mirrored(self) -> Tensor:
        """Says which pictures are mirrored, where the recipe mirrors any: bool `[batch]`."""
        return self.flip < 0.5

    def rows(self, rows: slice, device: torch.device) -> "Draw":
        """Returns one process's part, on its device."""
        flip, shift, erase = (each[rows].to(device) for each in (self.flip, self.shift, self.erase))
        return replace(self, flip=flip, shift=shift, erase=erase)


def draw(augment: Augment, batch: int, seed: int) -> Draw:
    """Draws the randomness of a batch of all processes."""
    generator = torch.Generator().manual_seed(seed)
    flip, shift, erase = (torch.rand(size, generator=generator) for size in ((batch,), (batch, 2), (batch, 5)))
    which, *patch = torch.rand(3, generator=generator).tolist()
    cut = augment.cutmix > 0 and (augment.mixup == 0 or which < 0.5)
    alpha = augment.cutmix if cut else augment.mixup
    return Draw(flip, shift, erase, _beta(alpha, generator) if alpha else 1.0, cut, torch.tensor(patch))


def _beta(alpha: float, generator: torch.Generator) -> float:
    """Draws from Beta(alpha, alpha) by Gamma variates, with a generator that torch's own distribution cannot take."""
    first, second = torch._standard_gamma(torch.full((2,), alpha), generator=generator).tolist()
    return float(first / (first + second))


def augmented(batch: Batch, augment: Augment, drawn: Draw) -> Batch:
    """Returns the changed pictures and targets of one process's batch."""
    images = batch.images
    if augment.flip:
        images = torch.where(drawn.mirrored[:, None, None, None], images.flip(2), images)
    if augment.shift:
        images = _shifted(images, drawn.shift, augment.shift)
    if augment.erase:
        images = _erased(images, drawn.erase, augment.erase)
    if drawn.blend < 1:
        return _mixed(Batch(images, batch.targets), drawn)
    return replace(batch, images=images)


def _shifted(images: Tensor, uniform: Tensor, most: int) -> Tensor:
    height, width = images.shape[1:3]
    padded = functional.pad(images, (0, 0, most, most, most, most))
    start = (uniform * (2 * most + 1)).long()
    rows, columns = (start[:, axis, None] + _count(size, images) for axis, size in enumerate((height, width)))
    return padded[_count(len(images), images)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _count(end: int, like: Tensor) -> Tensor:
    return torch.arange(end, device=like.device)


def _erased(images: Tensor, uniform: Tensor, share: float) -> Tensor:
    """Greys out rectangles whose sides are within a factor of two of each other."""
    height, width = images.shape[1:3]
    area = _ERASED_SHARE[0] + (_ERASED_SHARE[1] - _ERASED_SHARE[0]) * uniform[:, 1]
    stretch = 2 ** (uniform[:, 2] - 0.5)
    tall, wide = (area.sqrt() * stretch * height).round(), (area.sqrt() / stretch * width).round()
    inside = _between(height, uniform[:, 3] * (height - tall), tall)[:, :, None]
    inside = inside & _between(width, uniform[:, 4] * (width - wide), wide)[:, None, :]
    inside = inside & (uniform[:, 0] < share)[:, None, None]
    return images.masked_fill(inside[..., None], 127)


def _between(size: int, start: Tensor, length: Tensor) -> Tensor:
    """Returns bool `[n, size]`: true from each start on for each length."""
    places, first = _count(size, start)[None], start.floor()[:, None]
    return (places >= first) & (places < first + length[:, None])


def _mixed(batch: Batch, drawn: Draw) -> Batch:
    partner = _count(len(batch.images), batch.images) ^ 1
    if drawn.cut:
        images, keep = _patched(batch.images, partner, drawn)
    else:
        keep = drawn.blend
        floats = keep * batch.images.float() + (1 - keep) * batch.images[partner].float()
        images = floats.round().to(torch.uint8)
    return Batch(images, keep * batch.targets + (1 - keep) * batch.targets[partner])


def _patched(images: Tensor, partner: Tensor, drawn: Draw) -> tuple[Tensor, float]:
    height, width = images.shape[1:3]
    side = (1 - drawn.blend) ** 0.5
    tall, wide = round(side * height), round(side * width)
    top, left = (
        int(place * (size + 1)) for place, size in zip(drawn.patch, (height - tall, width - wide), strict=True)
    )
    patched = images.clone()
    patched[:, top : top + tall, left : left + wide] = images[partner, top : top + tall, left : left + wide]
    return patched, 1 - tall * wide / (height * width)
