"""Learning rates as a pure function of the step: there is no state to save."""

import math

from modelkit.train.recipe import Schedule

_FLOOR = 0.01
"""Where the rate starts to rise, and where one_cycle and cosine end, as a factor of the peak; one_cycle ends lower."""


def factor(schedule: Schedule, step: int, steps: int) -> float:
    """Returns the factor by which the peak rate is multiplied at a step.

    Args:
        schedule: the kind and its options.
        step: from 0.
        steps: of the whole run.
    """
    warm = round(schedule.warm_up * steps)
    if step < warm:
        rising = (step + 1) / warm
        return _cosine(1 - rising, _FLOOR) if schedule.kind == "one_cycle" else rising
    done = (step - warm) / max(1, steps - warm)
    match schedule.kind:
        case "constant":
            return 1.0
        case "step":
            passed = sum(step >= share * steps for share in schedule.milestones)
            return float(schedule.factor**passed)
        case "cosine":
            return _cosine(done, _FLOOR)
        case "one_cycle":
            return _cosine(done, _FLOOR / 100)


def _cosine(done: float, floor: float) -> float:
    """Falls from 1 to the floor while `done` goes from 0 to 1."""
    return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2
