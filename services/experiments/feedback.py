"""Which label of a prediction holds, and which feedback only repeats what was said before. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from triptych.experiments.v1 import feedback_service_pb2 as pb

RANK: dict[int, int] = {
    pb.FEEDBACK_SOURCE_USER: 1,
    pb.FEEDBACK_SOURCE_SYSTEM: 2,
    pb.FEEDBACK_SOURCE_ANNOTATOR: 3,
}
"""Whose word holds: the highest."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Says that somebody named a label."""

    feedback_id: str
    prediction_id: str
    label_index: int | None
    label: str | None
    source: int
    time_us: int
    """When it was said."""
    received_us: int
    """When it came; no two of one journal have the same."""

    @property
    def key(self) -> tuple[str, str]:
        """Returns what no other statement has: callers may give the same id to feedback on another prediction."""
        return self.prediction_id, self.feedback_id

    @property
    def recency(self) -> tuple[int, int, str]:
        """Returns what grows from each statement of a source to its next one."""
        return self.time_us, self.received_us, self.feedback_id

    def same_label(self, other: "Statement") -> bool:
        """Says whether both name the same label, the same way."""
        return (self.label_index, self.label) == (other.label_index, other.label)


class History:
    """Knows what each source said last about some predictions, and grows."""

    def __init__(self, keys: Iterable[tuple[str, str]], latest: Iterable[Statement]) -> None:
        """Begins with what was taken before.

        Args:
            keys: of statements.
            latest: at least the last statement of each source.
        """
        self._keys = set(keys)
        self._latest: dict[str, dict[int, Statement]] = {}
        self.taken: list[Statement] = []
        """Those that said something new."""
        for statement in latest:
            self._keep(statement)

    def take(self, statement: Statement, *, named: bool) -> None:
        """Takes a statement, unless it is a repeat.

        Args:
            statement: the next one.
            named: whether its source gave it the id, so that the id alone says what a repeat is.
        """
        if statement.key in self._keys:
            return
        last = self._latest.get(statement.prediction_id, {}).get(statement.source)
        if not named and last is not None and last.same_label(statement):
            return
        self._keys.add(statement.key)
        self.taken.append(statement)
        self._keep(statement)

    def holding(self) -> list[Statement]:
        """Returns whose label holds now, of each prediction that something new was said about."""
        return [holding(self._latest[each].values()) for each in dict.fromkeys(s.prediction_id for s in self.taken)]

    def _keep(self, statement: Statement) -> None:
        by_source = self._latest.setdefault(statement.prediction_id, {})
        last = by_source.get(statement.source)
        if last is None or last.recency < statement.recency:
            by_source[statement.source] = statement


def holding(said: Iterable[Statement]) -> Statement:
    """Returns whose label holds: an annotator's, else a system's, else a user's; of each the last one.

    Args:
        said: all about one prediction, at least one, in any order.
    """
    return max(said, key=lambda each: (RANK[each.source], each.recency))
