"""The one place that retries: a budget, so that retries never multiply an outage."""


class RetryBudget:
    """Allows about one retry for ten calls: a call earns a tenth, a retry costs one; a full purse covers a restart."""

    def __init__(self, ratio: float = 0.1, capacity: float = 100) -> None:
        self._ratio = ratio
        self._capacity = capacity
        self.tokens = capacity
        """Retries that it would pay for now."""

    def earn(self) -> None:
        """Counts a call."""
        self.tokens = min(self._capacity, self.tokens + self._ratio)

    def spend(self) -> bool:
        """Takes what a retry costs; False when the purse is empty."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
