"""How long to wait before a process that ended is started again."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubles the pause after every short run; a run that lasted starts over."""

    first_s: float = 0.2
    most_s: float = 10.0
    calm_s: float = 30.0
    """A run at least this long was a good one."""
    _next_s: float = 0.0

    def after(self, ran_s: float) -> float:
        """Returns the pause after a run of `ran_s` seconds."""
        if ran_s >= self.calm_s:
            self._next_s = 0.0
        pause_s = self._next_s or self.first_s
        self._next_s = min(pause_s * 2, self.most_s)
        return pause_s
