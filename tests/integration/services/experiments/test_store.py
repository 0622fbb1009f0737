"""What was taken is in the database, once, whatever fails on the way."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.evidence import (
    ANNOTATOR,
    SYSTEM,
    USER,
    at,
    dealt,
    deletion,
    evidence,
    exposure,
    feedback,
    said,
    shadowed,
)
from fakes.postgres import Postgres
from fakes.servers import eventually
from pydantic import SecretStr
from sqlalchemy import Column, Connection, Table, func, select

from servicekit.errors import Unavailable
from services.experiments import database as database_module
from services.experiments.database import Database
from services.experiments.frames import Kind
from services.experiments.settings import ExperimentsSettings
from services.experiments.store import Store, open_store
from services.experiments.tables import (
    APPLIED,
    DECISION,
    EXPOSURE,
    FEEDBACK,
    FORGOTTEN,
    IMAGE,
    PREDICTION,
    SHADOW_PREDICTION,
    TRUTH,
)


@asynccontextmanager
async def _opened(folder: Path, url: str) -> AsyncIterator[Store]:
    # The evidence of these tests is of 2020, and must not expire.
    settings = ExperimentsSettings(data_dir=folder, database_url=SecretStr(url), prediction_ttl_s=1e9)
    async with open_store(settings) as store:
        yield store


async def _applied(store: Store) -> None:
    """Waits until all of the journal is in the database."""
    await eventually(lambda: store.writer.progress().waiting_bytes == 0, within_s=20)


def _rows(store: Store, *columns: Column[Any]) -> list[tuple[Any, ...]]:
    with store.database.connect() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(*columns))]


def _count(store: Store, *tables: Table) -> list[int]:
    with store.database.connect() as connection:
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


LABELS = (FEEDBACK.c.prediction_id, FEEDBACK.c.label_index)
TRUTHS = (TRUTH.c.prediction_id, TRUTH.c.label_index, TRUTH.c.label, TRUTH.c.source)


async def test_everything_arrives(tmp_path: Path, database_url: str) -> None:
    """Evidence, images, labels; each in its table, with its values."""
    async with _opened(tmp_path, database_url) as store:
        logged = dealt("p", 1, image=b"jpeg", image_digest=b"d" * 32, image_bytes=4, tenant="acme", cached=True)
        await store.intake.record(evidence(exposure(1, slow=True), logged, shadowed("p", 1, 0)))
        assert 2 == await store.intake.submit(feedback(said("p", 2), said("q", "red fox", source=ANNOTATOR)))
        await _applied(store)

        assert [("p", 2, None, USER), ("q", None, "red fox", ANNOTATOR)] == _rows(store, *TRUTHS)
        assert [("p", b"jpeg")] == _rows(store, IMAGE.c.prediction_id, IMAGE.c.content)
        assert [(b"\0" * 15 + b"\1", False, True)] == _rows(
            store, EXPOSURE.c.key_hash, EXPOSURE.c.failed, EXPOSURE.c.slow
        )
        columns = (SHADOW_PREDICTION.c.prediction_id, SHADOW_PREDICTION.c.first_label, SHADOW_PREDICTION.c.agrees)
        assert [("p", "tiger cat", False)] == _rows(store, *columns)
        with store.database.connect() as connection:
            row = connection.execute(select(PREDICTION)).one()
        expected = ("p", "acme", at(0).ToMicroseconds(), 0, "tabby", "colours", 2, "control", False, b"d" * 32, True)
        names = "prediction_id tenant time_us first_index first_label experiment epoch arm fallback image_digest cached"
        assert expected == tuple(getattr(row, name) for name in names.split())
        assert '[[0,"tabby",0.75],[1,"tiger cat",0.25]]' == row.top


async def test_repeats_count_once(tmp_path: Path, database_url: str) -> None:
    """By their ids, or by what they say; and evidence that a gateway sends twice."""
    async with _opened(tmp_path, database_url) as store:
        for _ in range(2):
            await store.intake.submit(feedback(said("p", 1), said("p", 1), said("q", 2, feedback_id="mine")))
            await store.intake.record(evidence(exposure(1), dealt("p", 1, image=b"jpeg"), shadowed("p", 1, 0)))
            await _applied(store)
        for _ in range(2):
            await store.intake.submit(feedback(said("r", 3, feedback_id="mine")))  # another caller's name, too
            await _applied(store)

        assert [("p", 1), ("q", 2), ("r", 3)] == _rows(store, *LABELS)
        assert [1, 1, 1, 1] == _count(store, EXPOSURE, PREDICTION, SHADOW_PREDICTION, IMAGE)


async def test_corrections_hold(tmp_path: Path, database_url: str) -> None:
    """A label, another one, and the first one again; then a better source, and a late word of a worse one."""
    async with _opened(tmp_path, database_url) as store:
        for label in (1, 2, 1):
            await store.intake.submit(feedback(said("p", label)))
        await _applied(store)
        assert ([("p", 1), ("p", 1), ("p", 2)], ("p", 1, None, USER)) == (
            _rows(store, *LABELS),
            _rows(store, *TRUTHS)[0],
        )

        await store.intake.submit(feedback(said("p", 3, source=SYSTEM), said("p", 2)))
        await _applied(store)
        assert [("p", 3, None, SYSTEM)] == _rows(store, *TRUTHS)
        late = said("p", 0, source=SYSTEM, time=at(0))
        await store.intake.submit(feedback(late, said("p", "lynx", source=ANNOTATOR, time=at(0))))
        await _applied(store)
        assert [("p", None, "lynx", ANNOTATOR)] == _rows(store, *TRUTHS)
        assert 7 == len(_rows(store, *LABELS))


async def test_the_first_outcome_of_a_key_counts(tmp_path: Path, database_url: str) -> None:
    """Requests that say nothing leave it open, in one message or in several."""
    first = [exposure(1, void=True), exposure(2), exposure(3, void=True), exposure(3, failed=True), exposure(3)]
    second = [exposure(1, failed=True), exposure(2, failed=True), exposure(3, void=True), exposure(4, void=True)]
    async with _opened(tmp_path, database_url) as store:
        for records in (first, second):
            await store.intake.record(evidence(*records))
            await _applied(store)
        outcomes = [(key[-1], failed) for key, failed in _rows(store, EXPOSURE.c.key_hash, EXPOSURE.c.failed)]
        assert [(1, True), (2, False), (3, True), (4, None)] == outcomes


async def test_what_is_forgotten_stays_forgotten(tmp_path: Path, database_url: str) -> None:
    """What is known of it goes, and what comes later does not stay; others are left alone."""
    async with _opened(tmp_path, database_url) as store:
        for _ in range(2):
            for name in ("gone", "kept"):
                await store.intake.record(evidence(dealt(name, 1, image=b"jpeg"), shadowed(name, 1, 0)))
                await store.intake.submit(feedback(said(name, 1)))
            await store.intake.forget(deletion("gone", "unheard of"))
            await _applied(store)
        tables = (PREDICTION, SHADOW_PREDICTION, IMAGE, FEEDBACK, TRUTH)
        assert [1, 1, 1, 1, 1] == _count(store, *tables)
        assert [("kept",)] == _rows(store, PREDICTION.c.prediction_id)
        assert [("gone",), ("unheard of",)] == _rows(store, FORGOTTEN.c.prediction_id)
        assert [2] == _count(store, DECISION)


@contextmanager
def _stopped(server: Postgres) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def _locked(url: str) -> Iterator[None]:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


@pytest.fixture
def away(
    request: pytest.FixtureRequest, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AbstractContextManager[None]:
    """Returns what keeps the database away while its context is open."""
    if database_url.startswith("sqlite"):
        monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.05)
        return _locked(database_url)
    return _stopped(request.getfixturevalue("postgres"))


async def test_labels_are_taken_while_the_database_is_away(
    tmp_path: Path, database_url: str, away: AbstractContextManager[None]
) -> None:
    """And are there, each once, when it is back; readers are told to come again."""
    async with _opened(tmp_path, database_url) as store:
        await store.intake.submit(feedback(said("before", 1)))
        await _applied(store)
        with away:
            for number in range(20):
                await store.intake.submit(feedback(said(f"p{number:02}", 1)))
            await eventually(lambda: store.writer.progress().away)
            if "postgresql" in database_url:
                with pytest.raises(Unavailable):
                    _rows(store, *LABELS)
            assert 0 < store.writer.progress().waiting_bytes
        await _applied(store)
        assert ["before", *(f"p{number:02}" for number in range(20))] == [name for name, _ in _rows(store, *LABELS)]
        await eventually(lambda: not store.writer.progress().away)


async def test_labels_are_taken_before_the_database_was_ever_there(
    tmp_path: Path, database_url: str, away: AbstractContextManager[None]
) -> None:
    """A service that starts while it is away makes the tables later; one that ends meanwhile loses nothing."""
    with away:
        for name in ("a", "b"):
            async with _opened(tmp_path / "data", database_url) as store:
                await store.intake.submit(feedback(said(name, 1)))
    async with _opened(tmp_path / "data", database_url) as store:
        await _applied(store)
        assert [("a", 1), ("b", 1)] == _rows(store, *LABELS)


async def test_a_commit_whose_answer_was_lost_is_not_repeated(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database knows how far it is; labels without an id that differ in turn would show a second time."""
    real = Database.begin
    lost: list[int] = []

    @contextmanager
    def begin(self: Database) -> Iterator[Connection]:
        with real(self) as connection:
            yield connection
        if len(lost) < 5:
            lost.append(1)
            raise Unavailable("The answer got lost.")

    async with _opened(tmp_path, database_url) as store:
        await store.intake.submit(feedback(said("p", 0)))
        await _applied(store)
        monkeypatch.setattr(Database, "begin", begin)
        await store.intake.submit(feedback(said("p", 1), said("p", 2), said("p", 1), said("p", 2)))
        await _applied(store)
        assert [0, 1, 1, 2, 2] == [label for _, label in _rows(store, *LABELS)]
    assert 5 == len(lost)


async def test_what_the_database_refuses_is_kept_aside(tmp_path: Path, database_url: str) -> None:
    """It blocks nobody, is counted, and lies in a file."""
    async with _opened(tmp_path, database_url) as store:
        good, no_text = feedback(said("p", 1)), feedback(said("\0", 1))
        for payload in (good.SerializeToString(), b"\xff no message", no_text.SerializeToString()):
            await store.journal.append(Kind.FEEDBACK, payload, time.time_ns() // 1000)  # old labels are deleted
        await store.intake.submit(feedback(said("q", 2)))
        await _applied(store)

        takes_it = "sqlite" in database_url  # which minds no zero in a text
        assert {("p", 1), ("q", 2)} == {row for row in _rows(store, *LABELS) if row[0] != "\0"}
        assert (1 if takes_it else 2) == store.writer.progress().refused
        kept = sorted((tmp_path / "journal").glob("*.refused"))
        assert b"\xff no message" in kept[0].read_bytes()
        assert store.writer.progress().refused == len(kept)


async def test_a_journal_that_is_older_than_the_database_is_applied_again(tmp_path: Path, database_url: str) -> None:
    """Else what is taken next would pass for what the database has already."""
    async with _opened(tmp_path, database_url) as store:
        await store.intake.submit(feedback(said("p", 1)))
        await store.intake.forget(deletion("gone"))
        await _applied(store)
        with store.database.begin() as connection:
            connection.execute(APPLIED.update().values(position=10**6))
    async with _opened(tmp_path, database_url) as store:
        await store.intake.submit(feedback(said("q", 2)))
        await _applied(store)
        assert [("p", 1), ("q", 2)] == _rows(store, *LABELS)
        assert [1] == _count(store, DECISION)


async def test_two_stores_share_a_database(tmp_path: Path, database_url: str) -> None:
    """Each with a journal of its own, about the same predictions: the last word holds, and nobody waits for ever."""
    async with _opened(tmp_path / "a", database_url) as one, _opened(tmp_path / "b", database_url) as other:
        for number in range(20):
            await asyncio.gather(
                one.intake.submit(feedback(said("p", 1, feedback_id=f"one{number}", time=at(number)))),
                other.intake.submit(feedback(said("p", 2, feedback_id=f"other{number}", time=at(number + 0.5)))),
            )
        await _applied(one)
        await _applied(other)
        assert [40, 1] == _count(one, FEEDBACK, TRUTH)
        assert [("p", 2, None, USER)] == _rows(one, *TRUTHS)


async def test_a_clock_that_stands_still_keeps_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of one moment are told apart by their arrival."""
    monkeypatch.setattr("time.time_ns", lambda: 10**18)
    async with _opened(tmp_path, f"sqlite:///{tmp_path / 'x.db'}") as store:
        await store.intake.submit(feedback(said("p", 3, feedback_id="z"), said("p", 2, feedback_id="a")))
        await store.intake.submit(feedback(said("p", 1, feedback_id="b")))
        await _applied(store)
        assert [("p", 1, None, USER)] == _rows(store, *TRUTHS)
