"""How many channels each layer keeps: a pure function of what the scan saw and of what shall go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

Plan = dict[str, int]
"""Channels to keep, by the path of the layer that makes them."""

_HALVINGS = 24


class PlanError(ValueError):
    """Says that no plan reaches the target."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Is what one layer's channels mean to the network, together with the layers that must lose the same ones."""

    channels: int
    ratios: tuple[float, ...]
    """Shares of the channels that were taken away, rising; none where none can go."""
    top1: tuple[float, ...]
    """Accuracy without them, everything else untouched, before any training."""


def ratio_within(layer: Sensitivity, base: float, drop: float) -> float:
    """Returns the largest share of a layer's channels whose loss alone costs no more than `drop`.

    Args:
        layer: what the scan saw; a smaller loss of channels never counts as worse than a larger one.
        base: accuracy of the whole network.
        drop: share of the pictures.
    """
    drops = list(accumulate((base - top1 for top1 in layer.top1), max, initial=0.0))
    rising = [value + index * 1e-9 for index, value in enumerate(drops)]  # steps that cost nothing stay steps
    return float(np.interp(drop, rising, (0.0, *layer.ratios)))


def rounded(channels: int, ratio: float, round_to: int) -> int:
    """Returns the channels that are left of a layer: a multiple of `round_to` as near as can be, and at least one."""
    if channels <= round_to:
        return channels
    return min(channels, max(1, round(channels * (1 - ratio) / round_to)) * round_to)


def plan_within(layers: Mapping[str, Sensitivity], base: float, drop: float, round_to: int) -> Plan:
    """Returns the plan in which every layer alone costs no more than `drop`."""
    return {path: rounded(layer.channels, ratio_within(layer, base, drop), round_to) for path, layer in layers.items()}


def cheapest_plan(
    layers: Mapping[str, Sensitivity], base: float, round_to: int, fits: Callable[[Plan], bool]
) -> tuple[Plan, float]:
    """Returns the plan that fits with the smallest drop that every layer is allowed alike, and that drop.

    Raises:
        PlanError: none fits, even where every layer loses the most that was tried.
    """
    low, high = 0.0, 1.0 + 1e-6
    if not fits(plan_within(layers, base, high, round_to)):
        raise PlanError("the target is out of reach: a layer loses at most the largest of scan.ratios; raise it")
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(plan_within(layers, base, middle, round_to)) else (middle, high)
    return plan_within(layers, base, high, round_to), high
