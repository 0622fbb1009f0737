"""Both databases, for every test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.postgres import Postgres, running_postgres

from services.experiments.database import Database, open_database


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Runs one PostgreSQL for all tests."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Returns the URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'experiments.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Opens an empty database."""
    opened = open_database(database_url)
    yield opened
    opened.close()
