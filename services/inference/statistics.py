"""What Triton's cumulative statistics tell: how long requests wait and compute in it, and whether they only fail."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """Is what requests to one version took on average, in the last interval in which there were any."""

    queue_s: float
    compute_s: float
    """The whole batch's, for each request in it."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Is what Triton counted for one version since it started."""

    requests: int = 0
    """Those that succeeded."""
    queue_ns: int = 0
    compute_ns: int = 0
    failures: int = 0


class Statistics:
    """Turns totals into recent means."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, str], Totals] = {}
        self._times: dict[tuple[str, str], Times] = {}

    def update(self, model: str, version: str, totals: Totals) -> bool:
        """Takes over a version's totals, and says whether requests failed since the last time and none succeeded."""
        key = (model, version)
        before = self._totals.get(key, Totals())
        if totals.requests < before.requests:
            before = Totals()  # the server has restarted
        requests = totals.requests - before.requests
        if requests:
            queue_s = (totals.queue_ns - before.queue_ns) / requests / 1e9
            compute_s = (totals.compute_ns - before.compute_ns) / requests / 1e9
            self._times[key] = Times(queue_s, compute_s)
        self._totals[key] = totals
        return not requests and totals.failures > before.failures

    def times(self, model: str, version: str) -> Times | None:
        """Returns the recent means; None before the first request."""
        return self._times.get((model, version))
