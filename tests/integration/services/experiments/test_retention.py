"""What is too old goes, a part at a time."""

from collections.abc import Sequence
from typing import Any

import pytest
from fakes.evidence import at, dealt, entries, evidence, exposure, feedback, prediction, said, shadowed
from sqlalchemy import Column, insert, select

from services.experiments import retention
from services.experiments.apply import apply
from services.experiments.database import Database
from services.experiments.retention import Limits, sweep
from services.experiments.rows import HOUR_US, to_rows
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

HOUR_S = 3600
DAY_S = 24 * HOUR_S
DAY_US = DAY_S * 1_000_000
LIMITS = Limits(prediction_ttl_us=30 * DAY_US, image_ttl_us=7 * DAY_US)


def _store(database: Database, *messages: Any) -> None:
    with database.begin() as connection:
        apply(connection, to_rows(entries(messages), "journal", LIMITS.image_ttl_us))


def _experiment(database: Database, name: str, state: str, ended_day: int) -> None:
    row = {"name": name, "model": "lite", "state": state, "revision": 1, "created_us": 0, "definition": "{}"}
    told = {"experiment": name, "action": "stop", "actor": "rule", "reason": ""}
    with database.begin() as connection:
        connection.execute(insert(EXPERIMENT), row)
        connection.execute(insert(DECISION), {**told, "time_us": at(ended_day * DAY_S).ToMicroseconds()})


def _sweep(database: Database, day: int) -> bool:
    with database.begin() as connection:
        return sweep(connection, LIMITS, at(day * DAY_S).ToMicroseconds())


def _ids(database: Database, *columns: Column[Any]) -> list[Sequence[str]]:
    with database.connect() as connection:
        return [sorted(connection.execute(select(column)).scalars()) for column in columns]


def test_old_predictions_go_with_all_that_is_known_of_them(database: Database) -> None:
    """Images earlier; labels of predictions that nobody knew, as old as those."""
    _store(
        database,
        evidence(
            prediction("old", image=b"jpeg"),
            prediction("new", time=at(20 * DAY_S), image=b"jpeg"),
            shadowed("old", 1, 1),
        ),
        feedback(said("old", 1), said("new", 1), said("unknown", 1)),
    )
    columns = [table.c.prediction_id for table in (PREDICTION, SHADOW_PREDICTION, FEEDBACK, TRUTH, IMAGE)]
    assert not _sweep(database, 6)
    both, three = ["new", "old"], ["new", "old", "unknown"]
    assert [both, ["old"], three, three, both] == _ids(database, *columns)
    assert not _sweep(database, 8)
    assert [both, ["old"], three, three, []] == _ids(database, *columns)
    assert not _sweep(database, 31)
    assert [["new"], [], ["new"], ["new"], []] == _ids(database, *columns)
    assert not _sweep(database, 51)
    assert [[], [], [], [], []] == _ids(database, *columns)


def test_what_a_running_experiment_is_judged_by_stays(database: Database) -> None:
    """What an ended one was judged by goes a while after its end."""
    for name, state, ended in (
        ("runs", "running", 0),
        ("ramps", "ramping", 0),
        ("late", "stopped", 5),
        ("old", "concluded", 0),
    ):
        _experiment(database, name, state, ended)
        number = len(name)
        _store(
            database,
            evidence(
                exposure(number, experiment=name),
                dealt(name, number, experiment=name, image=b"jpeg"),
                shadowed(name, 1, 1, experiment=name),
            ),
            feedback(said(name, 1)),
        )
    _sweep(database, 31)
    kept = ["ramps", "runs"]
    columns = PREDICTION.c.prediction_id, SHADOW_PREDICTION.c.prediction_id, TRUTH.c.prediction_id
    assert [kept, kept, kept, ["late", *kept]] == _ids(database, *columns, EXPOSURE.c.experiment)
    _sweep(database, 36)
    assert [kept, kept, []] == _ids(database, PREDICTION.c.prediction_id, EXPOSURE.c.experiment, IMAGE.c.prediction_id)


def test_outcomes_stay_while_their_hour_is_looked_at(database: Database) -> None:
    """Also of an experiment that runs: the current hour, and the one before."""
    _experiment(database, "runs", "running", 0)
    for hour in range(4):
        with database.begin() as connection:
            apply(connection, to_rows(entries([evidence(exposure(1, experiment="runs"))], hour), "journal", 1))
    first, last = at(0).ToMicroseconds() // HOUR_US, at(3 * HOUR_S).ToMicroseconds()
    with database.begin() as connection:
        assert not sweep(connection, LIMITS, last)
        assert [first + 2, first + 3] == sorted(connection.execute(select(OUTCOME.c.hour)).scalars())


def test_a_sweep_has_a_bound(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is for the next one."""
    monkeypatch.setattr(retention, "ROWS", 3)
    _store(database, evidence(*(prediction(f"p{number}", image=b"jpeg") for number in range(7))))
    assert [True, True, False] == [_sweep(database, 31) for _ in range(3)]
    assert [[]] == _ids(database, PREDICTION.c.prediction_id)
