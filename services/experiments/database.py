"""The database: SQLite or PostgreSQL, behind the same few calls.

Whoever reads or writes does so in a thread, not on the event loop. What goes wrong with the database itself becomes
`Unavailable`; what it refuses for its content stays an error of SQLAlchemy's.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from servicekit.errors import Unavailable

log = structlog.get_logger()

MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_TIMEOUT_S = 5.0
"""How long a call waits for a lock of SQLite's, or for a connection."""
POSTGRESQL_OPTIONS = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "triptych-experiments",
}
"""Of libpq, where the URL says nothing else: a server that has vanished is noticed within ten seconds."""
LOCK = 0x7472_6970_7479_6368
"""Of PostgreSQL's advisory locks, the one that replicas of this service take in turns."""


_BOUNDS = text(
    "SELECT set_config('lock_timeout', '10s', true), set_config('idle_in_transaction_session_timeout', '30s', true)"
)
"""Of a transaction: a replica that hangs in the middle of one must not hold up the others for ever."""


class Database:
    """Gives connections. The first one brings the schema up to date, so that the database may be away at the start."""

    def __init__(self, url: str) -> None:
        """Prepares connections; makes none.

        Args:
            url: `sqlite:///path` or `postgresql://user:password@host/name`.

        Raises:
            ValueError: it is neither.
        """
        self._engine = _engine(engine_url(url))
        self._migration = threading.Lock()
        self._migrated = False

    @property
    def dialect(self) -> str:
        """Returns `sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Opens a connection to read from: all of its queries see the same state.

        Raises:
            Unavailable: the database is away, or does not answer.
        """
        with _away(), self._ready().connect() as connection:
            if self.dialect == "postgresql":
                connection = connection.execution_options(  # noqa: PLW2901 (the same one)
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            yield connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Opens a transaction to write in, which ends with the context. On SQLite there is one at a time.

        Raises:
            Unavailable: the database is away, or does not answer.
        """
        with _away(), self._ready().connect().execution_options(writes=True) as connection, connection.begin():
            if self.dialect == "postgresql":
                connection.execute(_BOUNDS)
            yield connection

    def migrate(self) -> None:
        """Brings the schema up to date. Of several replicas that begin at once, one does it while the others wait.

        Raises:
            Unavailable: the database is away, or does not answer.
        """
        with _away():
            self._ready()

    def close(self) -> None:
        """Closes all connections that nobody uses."""
        self._engine.dispose()

    def _ready(self) -> Engine:
        with self._migration:
            if not self._migrated:
                _migrate(self._engine)
                self._migrated = True
        return self._engine


def open_database(url: str) -> Database:
    """Opens a database and brings its schema up to date.

    Raises:
        ValueError: the URL is none of SQLite's or PostgreSQL's.
        Unavailable: the database is away.
    """
    database = Database(url)
    database.migrate()
    return database


def engine_url(url: str) -> URL:
    """Returns what SQLAlchemy takes for a URL as it is written everywhere.

    Raises:
        ValueError: it is none of SQLite's or PostgreSQL's.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    backend = parsed.drivername.partition("+")[0] if parsed else ""
    if parsed is None or backend not in ("sqlite", "postgresql", "postgres"):
        raise ValueError("it is neither like `postgresql://user:password@host/name` nor like `sqlite:////path`")
    return parsed.set(drivername="sqlite" if backend == "sqlite" else "postgresql+psycopg")


def refuses_content(error: Exception) -> bool:
    """Says whether a database refused a statement for the values in it, which no repeat mends."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError | IntegrityError) and not error.connection_invalidated
    return not isinstance(error, Unavailable | PoolTimeoutError)


def take_turns(connection: Connection) -> None:
    """Waits until no other replica writes facts, for as long as the transaction lasts; SQLite sees to it by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})


@contextmanager
def _away() -> Iterator[None]:
    """Turns the failures of the database itself into `Unavailable`."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        if refuses_content(error):
            raise
        log.warning("the database does not answer", error=_short(error))
        raise Unavailable("The database of experiments does not answer; try again later.") from error


def _short(error: SQLAlchemyError) -> str:
    """Returns what the driver said, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(cause).__name__}: {cause}"


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_timeout=BUSY_TIMEOUT_S)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    options = {name: value for name, value in POSTGRESQL_OPTIONS.items() if name not in url.query}
    return create_engine(url, connect_args=options, pool_pre_ping=True, pool_timeout=BUSY_TIMEOUT_S)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Lets readers and the writer work at once, and a commit wait until it is on disk; what is deleted is wiped."""
    connection.isolation_level = None  # else the driver decides when a transaction begins
    _use_wal(connection)
    for pragma in ("synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _use_wal(connection: Any) -> None:
    """Switches a new file to WAL; SQLite waits for nobody, whatever its timeout, where another one does the same."""
    give_up_at = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    """Takes the lock at once where something is written: to ask for it later would fail where another one writes."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        take_turns(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
