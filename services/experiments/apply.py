"""Writes rows to the tables, within a transaction of the caller's. Applied again, the same rows change nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Column, Connection, delete, func, select, tuple_

from services.experiments import records
from services.experiments.feedback import History, Statement
from services.experiments.rows import Row, Rows
from services.experiments.statements import write
from services.experiments.tables import (
    EXPOSURE,
    FEEDBACK,
    FORGOTTEN,
    IMAGE,
    OUTCOME,
    PREDICTION,
    SHADOW_PREDICTION,
    TRUTH,
)
from services.experiments.transitions import Deed

T = TypeVar("T")
CHUNK = 5000
"""Values, or pairs of them, in one query: SQLite takes 32,766."""
OF_A_PREDICTION = (PREDICTION, IMAGE, SHADOW_PREDICTION, FEEDBACK, TRUTH)
"""Tables that hold something about a prediction, and lose it when it is forgotten."""


class Labels(NamedTuple):
    """Counts labels."""

    new: int
    """Said something new."""
    repeated: int
    unknown: int
    """Of the new ones, those of predictions that nobody knew when they came."""


def apply(connection: Connection, rows: Rows) -> Labels:
    """Writes rows: first what is forgotten, so that nothing of it comes back with the others. Returns what was said."""
    _log(connection, rows.deletions)
    write(connection, FORGOTTEN, rows.forgotten)
    delete_predictions(connection, [row["prediction_id"] for row in rows.forgotten])
    write(connection, EXPOSURE, list(rows.exposures.values()))
    write(connection, OUTCOME, list(rows.outcomes.values()))
    gone = _forgotten(connection, rows)
    for table, added in ((PREDICTION, rows.predictions), (SHADOW_PREDICTION, rows.shadows), (IMAGE, rows.images)):
        write(connection, table, [row for row in added if row["prediction_id"] not in gone] if gone else added)
    return _add_labels(connection, [each for each in rows.labels if each[0].prediction_id not in gone])


def _log(connection: Connection, deletions: Sequence[Deed]) -> None:
    """Adds to the log of decisions who wanted predictions forgotten, unless it tells already."""
    if deletions:
        records.lock(connection)
    for deed in deletions:
        if not records.is_logged(connection, deed):
            records.log(connection, deed)


def delete_predictions(connection: Connection, ids: Sequence[str]) -> None:
    """Deletes all that is known of predictions."""
    for chunk in _chunks(ids):
        for table in OF_A_PREDICTION:
            connection.execute(delete(table).where(table.c.prediction_id.in_(chunk)))


def _forgotten(connection: Connection, rows: Rows) -> set[str]:
    """Returns those of the predictions in question that shall be forgotten; mostly there are none at all."""
    if connection.execute(select(FORGOTTEN.c.prediction_id).limit(1)).first() is None:
        return set()
    named = {row["prediction_id"] for row in (*rows.predictions, *rows.shadows)}
    named.update(statement.prediction_id for statement, _ in rows.labels)
    return set(_found(connection, FORGOTTEN.c.prediction_id, named))


def _add_labels(connection: Connection, labels: Sequence[tuple[Statement, bool]]) -> Labels:
    if not labels:
        return Labels(0, 0, 0)
    history = History(
        _known(connection, {statement.key for statement, _ in labels}),
        _latest(connection, {statement.prediction_id for statement, _ in labels}),
    )
    for statement, named in labels:
        history.take(statement, named=named)
    write(connection, FEEDBACK, [asdict(each) for each in history.taken])
    write(connection, TRUTH, _truths(history))
    about = [each.prediction_id for each in history.taken]
    known = set(_found(connection, PREDICTION.c.prediction_id, set(about)))
    return Labels(len(about), len(labels) - len(about), sum(each not in known for each in about))


def _truths(history: History) -> list[Row]:
    """Returns the labels that hold, each with when the first of these came; an earlier one stays where it is known."""
    first_us: dict[str, int] = {}
    for each in history.taken:
        first_us[each.prediction_id] = min(each.received_us, first_us.get(each.prediction_id, each.received_us))
    return [
        {
            "prediction_id": each.prediction_id,
            "label_index": each.label_index,
            "label": each.label,
            "source": each.source,
            "time_us": each.time_us,
            "first_us": first_us[each.prediction_id],
        }
        for each in history.holding()
    ]


def _known(connection: Connection, keys: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Returns which of these keys of statements there are already."""
    columns = FEEDBACK.c.prediction_id, FEEDBACK.c.feedback_id
    for chunk in _chunks(list(keys)):
        yield from ((row[0], row[1]) for row in connection.execute(select(*columns).where(tuple_(*columns).in_(chunk))))


def _latest(connection: Connection, predictions: Iterable[str]) -> Iterator[Statement]:
    """Returns what each source said last about predictions; where two say it at the same time, both."""
    place = func.rank().over(
        partition_by=(FEEDBACK.c.prediction_id, FEEDBACK.c.source),
        order_by=(FEEDBACK.c.time_us.desc(), FEEDBACK.c.received_us.desc()),
    )
    columns = [FEEDBACK.c[each.name] for each in fields(Statement)]
    for chunk in _chunks(list(predictions)):
        ranked = select(*columns, place.label("place")).where(FEEDBACK.c.prediction_id.in_(chunk)).subquery()
        found = connection.execute(select(*list(ranked.c)[:-1]).where(ranked.c.place == 1))
        yield from (Statement(*row) for row in found)


def _found(connection: Connection, column: Column[Any], values: Iterable[str]) -> Iterator[str]:
    """Returns which of these values a column has."""
    for chunk in _chunks(list(values)):
        yield from connection.execute(select(column).where(column.in_(chunk))).scalars()


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[begin : begin + CHUNK] for begin in range(0, len(values), CHUNK))
