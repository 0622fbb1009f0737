"""INSERTs of many rows, as SQL that was made once: SQLAlchemy would look at every value of every row."""

from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Table, case
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.sqlite import Insert

from services.experiments.rows import Row
from services.experiments.tables import EXPOSURE, TRUTH


def insert_into(dialect: Dialect, table: Table) -> Insert:
    """Returns an INSERT that can say what to do ON CONFLICT; both databases spell it alike."""
    return cast("Insert", postgresql.insert(table)) if dialect.name == "postgresql" else sqlite.insert(table)


def write(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Adds rows, each with all columns.

    Those that are there already stay as they are. A key keeps what its first request with an outcome says; of the
    label that holds the newest is kept, and when the first one came.
    """
    if rows:
        sql, values = _compiled(connection.dialect, table)
        connection.exec_driver_sql(sql, [values(row) for row in rows])


@cache
def _compiled(dialect: Dialect, table: Table) -> tuple[str, Callable[[Row], Any]]:
    """Returns the SQL, and what makes its parameters of a row."""
    compiled = _statement(dialect, table).compile(dialect=dialect)
    order = getattr(compiled, "positiontup", None)
    return str(compiled), itemgetter(*order) if order else dict


def _statement(dialect: Dialect, table: Table) -> Insert:
    statement = insert_into(dialect, table)
    new, key = statement.excluded, table.primary_key
    if table is EXPOSURE:
        decides = table.c.failed.is_(None) & new.failed.is_not(None)
        outcome = {"failed": new.failed, "slow": new.slow}
        return statement.on_conflict_do_update(index_elements=key, set_=outcome, where=decides)
    if table is TRUTH:
        values: dict[str, Any] = {column.name: new[column.name] for column in table.columns if not column.primary_key}
        known = table.c.first_us
        values["first_us"] = case((known < new.first_us, known), else_=new.first_us)
        return statement.on_conflict_do_update(index_elements=key, set_=values)
    return statement.on_conflict_do_nothing()
