"""Augmentation: mixed pictures have mixed labels, of the same share, and all of it is a function of the seed."""

from dataclasses import replace

import pytest
import torch

from modelkit.train.augment import Batch, augmented, draw
from modelkit.train.recipe import Augment

COUNT, HEIGHT, WIDTH = 8, 9, 14
CPU = torch.device("cpu")
ALL = Augment(flip=True, shift=2, erase=0.5, mixup=0.4, cutmix=1.0)
DARK, BRIGHT = 0, 250


def _batch() -> Batch:
    """Returns dark and bright pictures by turns, each of a class of its own."""
    images = torch.full((COUNT, HEIGHT, WIDTH, 3), DARK, dtype=torch.uint8)
    images[1::2] = BRIGHT
    return Batch(images, torch.eye(COUNT))


def _noise() -> Batch:
    pixels = torch.randint(0, 256, (COUNT, HEIGHT, WIDTH, 3), generator=torch.Generator().manual_seed(1))
    return Batch(pixels.to(torch.uint8), torch.eye(COUNT))


def _augmented(batch: Batch, augment: Augment, seed: int) -> Batch:
    return augmented(batch, augment, draw(augment, COUNT, seed).rows(slice(0, COUNT), CPU))


def _share(mixed: Batch) -> float:
    """Returns what the labels say that a picture keeps of itself; the rest is its neighbour's."""
    keep = float(mixed.targets[0, 0])
    own, neighbours = torch.eye(COUNT), torch.eye(COUNT)[torch.arange(COUNT) ^ 1]
    torch.testing.assert_close(mixed.targets, keep * own + (1 - keep) * neighbours)
    return keep


@pytest.mark.parametrize("seed", range(5))
def test_mixup_blends_pixels_as_labels(seed: int) -> None:
    """Each pixel is the labels' share of its own and the rest of its neighbour's, within the rounding to whole ones."""
    mixed = _augmented(_noise(), Augment(mixup=1.0), seed)
    keep, pixels = _share(mixed), _noise().images.float()
    blended = keep * pixels + (1 - keep) * pixels[torch.arange(COUNT) ^ 1]
    assert 0 < keep < 1
    assert (mixed.images.float() - blended).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_labels_are_the_patchs_area(seed: int) -> None:
    """A rectangle of the neighbour stands at its own place in each picture; its share of the pixels is the label's."""
    mixed = _augmented(_noise(), Augment(cutmix=1.0), seed)
    pasted = _augmented(_batch(), Augment(cutmix=1.0), seed).images[0, :, :, 0] == BRIGHT
    rows, columns = pasted.any(dim=1), pasted.any(dim=0)
    assert torch.equal(pasted, rows[:, None] & columns[None, :])
    assert (len(rows.nonzero()), len(columns.nonzero())) == (_run(rows), _run(columns))
    assert _share(mixed) == pytest.approx(1 - float(pasted.float().mean()), abs=1e-6)
    own = _noise().images
    neighbours = own[torch.arange(COUNT) ^ 1]
    assert torch.equal(mixed.images, torch.where(pasted[None, :, :, None], neighbours, own))


def _run(marked: torch.Tensor) -> int:
    """Returns how far it is from the first that is marked to the last."""
    places = marked.nonzero()
    return int(places.max() - places.min()) + 1 if len(places) else 0


def test_a_batch_is_blended_or_patched() -> None:
    """With both in a recipe each batch gets one, and both come up."""
    seen = {draw(ALL, COUNT, seed).cut for seed in range(20)}
    assert {True, False} == seen
    assert not any(draw(Augment(mixup=0.4), COUNT, seed).cut for seed in range(20))
    assert all(draw(Augment(cutmix=0.4), COUNT, seed).cut for seed in range(20))


def test_shares_are_those_of_the_beta_distribution() -> None:
    """Mean a half, and of alpha 1 and 0.2 the variance 1/12 and 1/5.6."""
    for alpha, variance in ((1.0, 1 / 12), (0.2, 1 / 5.6)):
        shares = torch.tensor([draw(Augment(mixup=alpha), 2, seed).blend for seed in range(2000)])
        assert shares.mean() == pytest.approx(0.5, abs=0.03)
        assert shares.var() == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_pictures_also_to_two_processes(seed: int) -> None:
    """And another seed others."""
    whole, again, other = (_augmented(_noise(), ALL, each) for each in (seed, seed, seed + 1))
    assert torch.equal(whole.images, again.images)
    assert torch.equal(whole.targets, again.targets)
    assert not torch.equal(whole.images, other.images)
    halves = [slice(0, COUNT // 2), slice(COUNT // 2, COUNT)]
    noise, drawn = _noise(), draw(ALL, COUNT, seed)
    parts = [augmented(Batch(noise.images[rows], noise.targets[rows]), ALL, drawn.rows(rows, CPU)) for rows in halves]
    assert torch.equal(whole.images, torch.cat([part.images for part in parts]))
    assert torch.equal(whole.targets, torch.cat([part.targets for part in parts]))


def test_nothing_asked_for_changes_nothing() -> None:
    """Alpha and shares of 0: pixels, targets and a teacher's answers stay."""
    batch = replace(_noise(), answers=torch.ones(COUNT, COUNT))
    for seed in range(5):
        same = _augmented(batch, Augment(), seed)
        assert torch.equal(same.images, batch.images)
        assert same.targets is batch.targets
        assert same.answers is batch.answers
