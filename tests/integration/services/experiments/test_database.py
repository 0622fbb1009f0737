"""SQLite and PostgreSQL, as the service opens them."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, insert, select, text

from servicekit.errors import Unavailable
from services.experiments.database import Database, engine_url, open_database
from services.experiments.tables import APPLIED, METADATA


def test_migrations_lead_to_the_tables_of_the_code(database: Database) -> None:
    """Nothing is missing, nothing is left over, and every type is the same."""
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert [] == compare_metadata(context, METADATA)


def test_sqlite_is_told_the_same_by_both(tmp_path: Path) -> None:
    """Down to options that a comparison of columns does not see."""
    migrated, made = tmp_path / "migrated.db", tmp_path / "made.db"
    open_database(f"sqlite:///{migrated}").close()
    engine = create_engine(f"sqlite:///{made}")
    METADATA.create_all(engine)
    engine.dispose()
    told = []
    for path in (migrated, made):
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%'")
            told.append({name: sql for name, sql in rows if sql})
    assert told[1] == told[0]


def test_replicas_that_start_at_once_all_find_the_tables(database_url: str) -> None:
    """One migrates, the others wait."""
    with ThreadPoolExecutor(8) as threads:
        databases = list(threads.map(open_database, [database_url] * 8))
    for each in databases:
        with each.connect() as connection:
            assert [] == connection.execute(select(APPLIED)).all()
        each.close()


def test_a_transaction_is_written_as_a_whole_or_not_at_all(database: Database) -> None:
    """What fails leaves nothing behind."""

    def write_and_fail() -> None:
        with database.begin() as connection:
            connection.execute(insert(APPLIED).values(journal="a", position=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with database.begin() as connection:
        connection.execute(insert(APPLIED).values(journal="b", position=2))

    with database.connect() as connection:
        assert [("b", 2)] == connection.execute(select(APPLIED)).all()


def test_a_reader_sees_one_state(database: Database) -> None:
    """However many queries it makes, and whatever is written meanwhile; and it does not hold the writer up."""
    with database.connect() as reading:
        before = reading.execute(select(APPLIED)).all()
        with database.begin() as writing:
            writing.execute(insert(APPLIED).values(journal="a", position=1))
        assert before == reading.execute(select(APPLIED)).all()


def test_a_database_that_is_away_is_unavailable(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its error tells the caller nothing about where it is."""
    for url in ("postgresql://nobody:secret@127.0.0.1:1/none", f"sqlite:///{tmp_path_factory.mktemp('a')}/no/no.db"):
        with pytest.raises(Unavailable) as caught:
            open_database(url)
        assert caught.value.message == "The database of experiments does not answer; try again later."


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://a/b", "postgresql+asyncpg//x"])
def test_other_databases_are_refused(url: str) -> None:
    """The sentence does not repeat the URL, which may hold a password."""
    with pytest.raises(ValueError, match=r"^it is neither like `postgresql://user:password@host/name` nor like"):
        engine_url(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_url_is_taken_as_it_is_written_everywhere(scheme: str) -> None:
    """Whatever the driver."""
    assert "postgresql+psycopg" == engine_url(f"{scheme}://user:password@host/name?sslmode=require").drivername


def test_sqlite_waits_for_its_disk(tmp_path: Path) -> None:
    """A commit that could be lost with the power would be worth nothing."""
    database = open_database(f"sqlite:///{tmp_path}/x.db")
    with database.connect() as connection:
        assert "wal" == connection.execute(text("PRAGMA journal_mode")).scalar_one()
        assert 2 == connection.execute(text("PRAGMA synchronous")).scalar_one()
    database.close()
