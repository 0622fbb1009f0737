"""The tables, as they are written in SQL."""

from typing import Any

import pytest
from sqlalchemy import create_mock_engine
from sqlalchemy.engine import make_url

from services.experiments.tables import METADATA


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql+psycopg"])
def test_every_table_can_be_made(dialect: str) -> None:
    """Both databases have a word for every column."""
    made: list[str] = []
    written_in = make_url(f"{dialect}://").get_dialect()()

    def note(sql: Any, *_: Any) -> None:
        made.append(str(sql.compile(dialect=written_in)))

    engine = create_mock_engine(f"{dialect}://", note)
    METADATA.create_all(engine, checkfirst=False)

    assert len(METADATA.tables) == sum("CREATE TABLE" in sql for sql in made)
