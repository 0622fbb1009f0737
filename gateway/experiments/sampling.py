"""Which answers are logged, and with which probability, so that estimates can make up for those that are not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Retention = Literal["none", "uncertain", "all"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Says what is logged of answers outside experiments, and of which images are kept."""

    share: float = 1.0
    """Of all answers, at random."""
    margin: float = 0.1
    """Uncertain is an answer whose first two scores differ by less; it is always logged."""
    images: Retention = "none"

    @property
    def logs(self) -> bool:
        """Says whether anything may be logged."""
        return self.share > 0 or self.margin > 0

    def probability(self, scores: Sequence[float]) -> float:
        """Returns the probability with which an answer outside experiments is logged: it depends on it alone."""
        return 1.0 if self.uncertain(scores) else self.share

    def uncertain(self, scores: Sequence[float]) -> bool:
        """Says whether an answer is uncertain, or may be.

        Args:
            scores: descending, all that the caller asked for. Of one alone, the next is as large as it can be.
        """
        if not scores:
            return False
        second = scores[1] if len(scores) > 1 else 1 - scores[0]
        return scores[0] - second < self.margin

    def keeps_image(self, scores: Sequence[float]) -> bool:
        """Says whether the image of a logged answer is kept."""
        return self.images == "all" or (self.images == "uncertain" and self.uncertain(scores))
