"""Counts the facts of an experiment's epoch, as verdicts need them.

Everything is counted from the tables each time, so that what comes late, twice or in another order counts the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Subquery, Table, case, func, select, true

from services.experiments.evalues import Pairs, Rate
from services.experiments.rows import HOUR_US
from services.experiments.tables import EXPOSURE, OUTCOME, PREDICTION, SHADOW_PREDICTION, TRUTH
from services.experiments.verdicts import Facts, Hour
from triptych.experiments.v1 import experiment_pb2

_MADE = PREDICTION.c.prediction_id
"""Orders predictions as they were made."""
_LABELLED = TRUTH.c.first_us, PREDICTION.c.prediction_id
"""Orders them as their first labels came, so that what was counted once is not replaced by what is labelled later."""
_NONE, _NO_PAIRS = Rate(0, 0), Pairs(0, 0, 0)


@dataclass(slots=True)
class _Arm:
    """Counts keys of one arm."""

    assigned: int = 0
    failed: Rate = _NONE
    slow: Rate = _NONE
    correct: Rate = _NONE
    hours: dict[int, tuple[Rate, Rate]] = field(default_factory=dict)
    """Late answers and failures, by the hour."""


@dataclass(slots=True)
class _Shadow:
    """Counts pictures that control and one shadow saw, each once, and the shadow's failures by key."""

    pairs: Pairs = _NO_PAIRS
    disagreement: Rate = _NONE
    failed: Rate = _NONE


def since_hour(now_us: int) -> int:
    """Returns the first of the hours that are looked at on their own: the one before the current one."""
    return now_us // HOUR_US - 1


def gather(connection: Connection, experiment: experiment_pb2.Experiment, now_us: int) -> dict[str, Facts]:
    """Returns the facts of the experiment's current epoch, by candidate: its arms but the first, then its shadows.

    A shadow is dealt no keys, and nobody waits for it: of its requests only the failures are counted.

    Args:
        connection: of `Database.connect`, so that all counts are of one moment.
        experiment: as stored: `name`, `epoch`, `arms` and `shadows` matter.
        now_us: the time: the current hour and the one before are counted on their own.
    """
    control, *candidates = [arm.name for arm in experiment.arms]
    arms, first_hour = _arms(connection, experiment, now_us)
    before = arms.get(control, _Arm())
    found = {name: _compared(before, arms.get(name, _Arm()), first_hour) for name in candidates}
    shadows = _shadows(connection, experiment, control) if experiment.shadows else {}
    for name in (shadow.name for shadow in experiment.shadows):
        seen = shadows.get(name, _Shadow())
        failed = before.failed, seen.failed
        found[name] = Facts(shadow=True, pairs=seen.pairs, disagreement=seen.disagreement, failed=failed)
    return found


def _compared(before: _Arm, after: _Arm, first_hour: int) -> Facts:
    return Facts(
        assigned=(before.assigned, after.assigned),
        correct=(before.correct, after.correct),
        slow=(before.slow, after.slow),
        failed=(before.failed, after.failed),
        hours=tuple(_hours(before, after, first_hour)),
    )


def _hours(before: _Arm, after: _Arm, first_hour: int) -> Iterator[Hour]:
    for hour in sorted(before.hours.keys() & after.hours.keys(), reverse=True):
        slow, failed = zip(before.hours[hour], after.hours[hour], strict=True)
        yield Hour(max(0, hour - first_hour), slow, failed)


def _arms(connection: Connection, experiment: experiment_pb2.Experiment, now_us: int) -> tuple[dict[str, _Arm], int]:
    """Returns the counts of each arm, and the hour in which the first key of the epoch was dealt one."""
    arms: dict[str, _Arm] = {}
    first_us = now_us
    for row in _exposures(connection, experiment):
        decided = int(row.decided)
        failed, slow = Rate(int(row.failed), decided), Rate(int(row.slow), decided)
        arms[row.arm] = _Arm(int(row.assigned), failed, slow)
        first_us = min(first_us, int(row.first_us))
    for row in _correct(connection, experiment):
        arms.setdefault(row.arm, _Arm()).correct = Rate(int(row.hits), int(row.total))
    for row in _outcomes(connection, experiment, since_hour(now_us)):
        total = int(row.total)
        rates = Rate(int(row.slow), total), Rate(int(row.failed), total)
        arms.setdefault(row.arm, _Arm()).hours[int(row.hour)] = rates
    return arms, first_us // HOUR_US


def _exposures(connection: Connection, experiment: experiment_pb2.Experiment) -> Iterable[Row[Any]]:
    """Counts the keys of each arm, and those whose first outcome was a failure, or late."""
    asked = select(
        EXPOSURE.c.arm,
        func.count().label("assigned"),
        func.count(EXPOSURE.c.failed).label("decided"),
        _count(EXPOSURE.c.failed).label("failed"),
        _count(EXPOSURE.c.slow).label("slow"),
        func.min(EXPOSURE.c.time_us).label("first_us"),
    )
    return connection.execute(asked.where(*_epoch(EXPOSURE, experiment)).group_by(EXPOSURE.c.arm))


def _outcomes(connection: Connection, experiment: experiment_pb2.Experiment, since: int) -> Iterable[Row[Any]]:
    """Counts in each hour the keys of each arm with an outcome, and those whose first one was a failure, or late."""
    asked = select(
        OUTCOME.c.hour,
        OUTCOME.c.arm,
        func.count().label("total"),
        _count(OUTCOME.c.failed).label("failed"),
        _count(OUTCOME.c.slow).label("slow"),
    )
    asked = asked.where(OUTCOME.c.hour >= since, *_epoch(OUTCOME, experiment))
    return connection.execute(asked.group_by(OUTCOME.c.hour, OUTCOME.c.arm))


def _correct(connection: Connection, experiment: experiment_pb2.Experiment) -> Iterable[Row[Any]]:
    """Counts each key once, by the prediction whose label came first; where another version answered, none has."""
    labelled = _first_labelled(experiment)
    asked = select(labelled.c.arm, _count(labelled.c.hit).label("hits"), func.count().label("total"))
    return connection.execute(asked.where(labelled.c.place == 1).group_by(labelled.c.arm))


def _first_labelled(experiment: experiment_pb2.Experiment) -> Subquery:
    place = func.row_number().over(partition_by=PREDICTION.c.key_hash, order_by=_LABELLED)
    hit = _is_right(PREDICTION)
    return (
        select(PREDICTION.c.arm, hit.label("hit"), place.label("place"))
        .join(TRUTH, TRUTH.c.prediction_id == PREDICTION.c.prediction_id)
        .where(*_epoch(PREDICTION, experiment), PREDICTION.c.fallback.is_not(true()))
        .subquery()
    )


def _shadows(connection: Connection, experiment: experiment_pb2.Experiment, control: str) -> dict[str, _Shadow]:
    """Counts pictures that the control answered and a shadow saw, and of those with a label who was right."""
    seen = _seen(experiment, control)
    new, told = seen.c.both & (seen.c.picture == 1), seen.c.both & seen.c.labelled & (seen.c.labelled_picture == 1)
    key = seen.c.key == 1
    asked = select(
        seen.c.shadow,
        _count(new).label("both"),
        _count(new & ~seen.c.agrees).label("differ"),
        _count(told).label("labelled"),
        _count(told & seen.c.right & ~seen.c.served_right).label("wins"),
        _count(told & ~seen.c.right & seen.c.served_right).label("losses"),
        _count(key).label("keys"),
        _count(key & seen.c.first_index.is_(None)).label("failed"),
    )
    return {row.shadow: _shadow(row) for row in connection.execute(asked.group_by(seen.c.shadow))}


def _seen(experiment: experiment_pb2.Experiment, control: str) -> Subquery:
    """Selects what shadows answered, with its place among those of its key, of its picture, and of that with a label.

    A picture is told by its digest; one without a digest is taken for another one each time.
    """
    shadow, served, by = SHADOW_PREDICTION, PREDICTION, SHADOW_PREDICTION.c.shadow
    both, labelled = shadow.c.agrees.is_not(None), TRUTH.c.prediction_id.is_not(None)
    picture = by, served.c.image_digest, case((served.c.image_digest.is_(None), served.c.prediction_id)), both
    asked = select(
        by,
        shadow.c.agrees,
        shadow.c.first_index,
        both.label("both"),
        labelled.label("labelled"),
        _is_right(shadow).label("right"),
        _is_right(served).label("served_right"),
        func.row_number().over(partition_by=(by, served.c.key_hash), order_by=_MADE).label("key"),
        func.row_number().over(partition_by=picture, order_by=_MADE).label("picture"),
        func.row_number().over(partition_by=(*picture, labelled), order_by=_LABELLED).label("labelled_picture"),
    )
    asked = asked.join(served, served.c.prediction_id == shadow.c.prediction_id)
    asked = asked.outerjoin(TRUTH, TRUTH.c.prediction_id == shadow.c.prediction_id)
    ours = served.c.arm == control, served.c.fallback.is_not(true())
    return asked.where(*_epoch(shadow, experiment), *_epoch(served, experiment), *ours).subquery()


def _shadow(row: Row[Any]) -> _Shadow:
    wins, losses = int(row.wins), int(row.losses)
    return _Shadow(
        pairs=Pairs(wins, losses, int(row.labelled) - wins - losses),
        disagreement=Rate(int(row.differ), int(row.both)),
        failed=Rate(int(row.failed), int(row.keys)),
    )


def _epoch(table: Table, experiment: experiment_pb2.Experiment) -> tuple[ColumnElement[bool], ...]:
    return table.c.experiment == experiment.name, table.c.epoch == experiment.epoch


def _is_right(table: Table) -> ColumnElement[bool]:
    """Says whether an answer is what its label says, by index or by name; what is NULL is not."""
    by_index = TRUTH.c.label_index == table.c.first_index
    by_name = TRUTH.c.label == table.c.first_label
    return func.coalesce(case((TRUTH.c.label_index.is_not(None), by_index), else_=by_name), False)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
