"""A real PostgreSQL in a temporary folder."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg

_PORTS = (20_000, 32_000)
"""Below those that Linux takes for the near end of connections."""
_DEBIAN = Path("/usr/lib/postgresql")
_ACCOUNT = "postgres"
"""Who runs it when we are root, which PostgreSQL refuses to be."""


class Postgres:
    """Is a server that can be stopped and started again."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._folder = folder
        self._durable = "on" if durable else "off"
        self._databases = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        options = ("--auth=trust", "--username=postgres", "--no-sync", "--no-locale", "--encoding=UTF8")
        _run("initdb", "--pgdata", folder / "data", *options)

    def url(self, database: str = "postgres") -> str:
        """Returns where a database is."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Makes an empty database and returns its URL."""
        name = f"test{next(self._databases)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def start(self) -> None:
        """Starts the server and waits until it takes connections."""
        self._launch()
        self._wait()

    def _launch(self) -> None:
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": self._durable,
            "full_page_writes": self._durable,
            "synchronous_commit": "on",
            "max_connections": 60,
            "shared_buffers": "32MB",
        }
        chosen = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            command = _as_account(str(_program("postgres")), "-D", str(self._folder / "data"), *chosen)
            self._process = subprocess.Popen(  # noqa: S603 (PostgreSQL itself)
                command, stdout=log, stderr=log, cwd=self._folder
            )

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stops it: SIGINT cuts connections, SIGQUIT lets it crash."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def _wait(self) -> None:
        give_up_at = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.05)
                if self._process is not None and self._process.poll() is not None:
                    self._launch()  # it gives up where processes of one that was killed still hold its memory
            else:
                return


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """Runs a server while the context is open.

    Args:
        durable: whether a commit waits for the disk. A process that is killed loses nothing without.
    """
    folder = Path(tempfile.mkdtemp(prefix="triptych-postgres-"))
    try:
        if (user := _user()) is not None:
            shutil.chown(folder, user)
        server = Postgres(folder, durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # what it holds goes anyway
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    """Returns a port that the kernel gives to no connection: it must still be free when a server comes back to it."""
    while True:
        port = random.randrange(*_PORTS)  # noqa: S311 (no secret)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _user() -> str | None:
    return pwd.getpwnam(_ACCOUNT).pw_name if os.geteuid() == 0 else None


def _as_account(*command: str) -> list[str]:
    """Returns a command that runs as PostgreSQL's account where we are root.

    A program before it, instead of `subprocess`'s `user`, for which Python forks: the threads that gRPC starts again in
    such a child crash it now and then, before it is PostgreSQL.
    """
    user = _user()
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command] if user else [*command]


def _program(name: str) -> Path:
    found = shutil.which(name)
    places = [Path(found)] if found else sorted(_DEBIAN.glob(f"*/bin/{name}"))
    if not places:
        raise FileNotFoundError(f"PostgreSQL is needed, of which there is no `{name}`: apt install postgresql")
    return places[-1]


def _run(name: str, *arguments: object) -> None:
    command = _as_account(*(str(each) for each in (_program(name), *arguments)))
    subprocess.run(command, check=True, capture_output=True, cwd="/")  # noqa: S603 (the same)
