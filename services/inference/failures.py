"""What became of rows, for the operator: a count of every outcome, and failures in the log without a flood."""

import time
from collections import Counter as Tally
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter

from servicekit.errors import TriptychError

log = structlog.get_logger()

OK = "OK"
LOG_INTERVAL_S = 1.0
"""Pause between two lines about the same failure."""


class Throttle:
    """Lets each thing through once in a while, and counts what it held back."""

    def __init__(self, interval_s: float = LOG_INTERVAL_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._let_through: dict[Hashable, float] = {}
        self._held: Tally[Hashable] = Tally()

    def admit(self, key: Hashable) -> int | None:
        """Returns how many of this kind were held back since the last one, or None: hold this one back too.

        Keys must be few by construction: each one is remembered.
        """
        now = self._clock()
        if now - self._let_through.get(key, -self._interval_s) < self._interval_s:
            self._held[key] += 1
            return None
        self._let_through[key] = now
        return self._held.pop(key, 0)


@dataclass
class RowOutcomes:
    """Counts and logs how rows end."""

    registry: CollectorRegistry = REGISTRY
    throttle: Throttle = field(default_factory=Throttle)
    rows: Counter = field(init=False)
    _children: dict[tuple[str, str, str], Counter] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Registers the counter; once per registry."""
        text = "Rows by how they ended: OK or the reason of their error."
        self.rows = Counter("triptych_inference_rows", text, ("model", "version", "outcome"), registry=self.registry)

    def record(self, model: str, version: str, errors: Sequence[TriptychError | None]) -> None:
        """Takes over a batch's outcomes, one per row."""
        for outcome, count in Tally(OK if error is None else error.reason.value for error in errors).items():
            self._child(model, version, outcome).inc(count)
        failed = [error for error in errors if error is not None]
        for reason, count in Tally(error.reason for error in failed).items():
            held_back = self.throttle.admit((model, version, reason))
            if held_back is not None:
                message = next(error.message for error in failed if error.reason is reason)
                log.warning(
                    "rows failed",
                    model=model,
                    version=version,
                    reason=reason.value,
                    rows=count,
                    of=len(errors),
                    error=message,
                    held_back=held_back,
                )

    def _child(self, model: str, version: str, outcome: str) -> Counter:
        """Returns a series; to look labels up costs as much as to count."""
        labels = (model, version, outcome)
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self.rows.labels(*labels)
        return child
