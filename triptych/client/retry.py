"""Whether a failed call may be made once more, and when: pure, so that both clients decide alike."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from triptych.client.errors import ClassifyError

FIRST_PAUSE_S = 0.1
"""Pause before a retry when the server did not name one; jitter makes it half to one and a half of this."""


@dataclass(slots=True)
class RetryBudget:
    """Lets at most a share of the calls be retries, so that clients do not make an overload worse.

    Every first attempt earns a part of a retry; a few may be saved up.
    """

    share: float = 0.1
    most: float = 10.0
    _saved: float = 1.0

    def earn(self) -> None:
        """Counts a first attempt."""
        self._saved = min(self.most, self._saved + self.share)

    def spend(self) -> bool:
        """Takes one retry; says whether there was one."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


@dataclass(slots=True)
class Retry:
    """Decides about retries of one client. At most one per call."""

    budget: RetryBudget = field(default_factory=RetryBudget)
    jitter: Callable[[], float] = random.random

    def pause_s(self, error: ClassifyError, remaining_s: float) -> float | None:
        """Returns how long to wait before the second attempt; None when there shall be none.

        Args:
            error: how the first attempt ended. Only an absent server, or one that shed the call and said when to come
                back, is worth another attempt.
            remaining_s: time until the caller's deadline.
        """
        if not _worth_it(error):
            return None
        pause_s = self._spread(error.retry_after_s)
        if pause_s >= remaining_s or not self.budget.spend():
            return None
        return pause_s

    def _spread(self, wanted_s: float | None) -> float:
        if wanted_s is None:
            return FIRST_PAUSE_S * (0.5 + self.jitter())
        return wanted_s * (1 + 0.2 * self.jitter())  # never earlier than asked for


def _worth_it(error: ClassifyError) -> bool:
    if error.code == "RESOURCE_EXHAUSTED":
        return error.retry_after_s is not None
    return error.code == "UNAVAILABLE"
