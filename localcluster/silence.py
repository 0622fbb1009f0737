"""For how long a process has not answered."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Silence:
    """Adds up the checks that nobody answered.

    Not the time since the last answer: when this process itself is held for a minute, by a debugger or a laptop's
    lid, that minute says nothing about the other one.
    """

    limit_s: float = 10.0
    most_s: float = 2.0
    """The most that one check can add; more than a check takes."""
    clock: Callable[[], float] = time.monotonic
    _last: float = 0.0
    _total_s: float = 0.0

    def heard(self) -> None:
        """Notes an answer."""
        self._last, self._total_s = self.clock(), 0.0

    def unheard(self) -> bool:
        """Notes a check without an answer; says whether there were enough of them."""
        now = self.clock()
        self._total_s += min(now - self._last, self.most_s)
        self._last = now
        return self._total_s >= self.limit_s
