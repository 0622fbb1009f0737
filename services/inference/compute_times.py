"""How long each version computes, learned from Triton's cumulative statistics: no backend tells it per request."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Total:
    count: int
    nanoseconds: int


class ComputeTimes:
    """Keeps the mean of the last interval in which a version computed at all."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, str], _Total] = {}
        self._means_s: dict[tuple[str, str], float] = {}

    def update(self, model: str, version: str, count: int, nanoseconds: int) -> None:
        """Takes over a version's totals since its server started: requests, and the time that their batches took."""
        key = (model, version)
        before = self._totals.get(key, _Total(0, 0))
        if count < before.count:
            before = _Total(0, 0)  # the server has restarted
        if count > before.count:
            self._means_s[key] = (nanoseconds - before.nanoseconds) / (count - before.count) / 1e9
        self._totals[key] = _Total(count, nanoseconds)

    def mean_s(self, model: str, version: str) -> float | None:
        """Returns the mean in seconds; None before the first request."""
        return self._means_s.get((model, version))
