"""Deletes what is older than it may become, a bounded number of rows at a time."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, delete, exists, select

from services.experiments.apply import delete_predictions
from services.experiments.facts import since_hour
from services.experiments.tables import (
    DECISION,
    EXPERIMENT,
    EXPOSURE,
    FEEDBACK,
    IMAGE,
    OUTCOME,
    PREDICTION,
    SHADOW_PREDICTION,
    TRUTH,
)

ROWS = 1000
"""Most of each table at once, so that what was taken meanwhile does not wait for long."""
_RUNNING = ("running", "ramping")


@dataclass(frozen=True, slots=True)
class Limits:
    """Says how old what may become."""

    prediction_ttl_us: int
    image_ttl_us: int


def sweep(connection: Connection, limits: Limits, now_us: int) -> bool:
    """Deletes what is too old. Says whether there may be more.

    What an experiment that still runs is judged by stays until it ends: a verdict must not change because evidence
    expired. Its images go all the same, and outcomes of hours that nobody looks at any more.
    """
    oldest_us = now_us - limits.prediction_ttl_us
    swept = [
        _delete(connection, IMAGE, IMAGE.c.expires_us < now_us),
        _predictions(connection, oldest_us),
        _delete(connection, SHADOW_PREDICTION, _old(SHADOW_PREDICTION, oldest_us)),
        _delete(connection, EXPOSURE, EXPOSURE.c.experiment.in_(_ended(oldest_us))),
        _delete(connection, OUTCOME, OUTCOME.c.hour < since_hour(now_us)),
        _labels(connection, oldest_us),
    ]
    return max(swept) >= ROWS


def _predictions(connection: Connection, oldest_us: int) -> int:
    ids = connection.execute(select(PREDICTION.c.prediction_id).where(_old(PREDICTION, oldest_us)).limit(ROWS))
    found = ids.scalars().all()
    delete_predictions(connection, found)
    return len(found)


def _labels(connection: Connection, oldest_us: int) -> int:
    """Deletes labels of predictions that nobody knows."""
    orphan = ~exists().where(PREDICTION.c.prediction_id == FEEDBACK.c.prediction_id)
    old = (FEEDBACK.c.received_us < oldest_us) & orphan
    ids = connection.execute(select(FEEDBACK.c.prediction_id).where(old).limit(ROWS)).scalars().all()
    for table in (FEEDBACK, TRUTH):
        connection.execute(delete(table).where(table.c.prediction_id.in_(set(ids))))
    return len(ids)


def _old(table: Table, oldest_us: int) -> ColumnElement[bool]:
    runs = exists().where(EXPERIMENT.c.name == table.c.experiment, EXPERIMENT.c.state.in_(_RUNNING))
    return (table.c.time_us < oldest_us) & ~runs


def _ended(oldest_us: int) -> Select[tuple[str]]:
    """Selects experiments that ended long ago: nothing was done with them since."""
    recent = exists().where(DECISION.c.experiment == EXPERIMENT.c.name, DECISION.c.time_us >= oldest_us)
    return select(EXPERIMENT.c.name).where(EXPERIMENT.c.state.not_in(_RUNNING), ~recent)


def _delete(connection: Connection, table: Table, too_old: ColumnElement[bool]) -> int:
    """Deletes rows by their keys, since neither database takes a limit for a DELETE."""
    keys = list(table.primary_key.columns)
    found = connection.execute(select(*keys).where(too_old).limit(ROWS)).all()
    if found:
        statement = delete(table).where(*(key == bindparam(f"old_{key.name}") for key in keys))
        connection.execute(statement, [{f"old_{key.name}": row[at] for at, key in enumerate(keys)} for row in found])
    return len(found)
