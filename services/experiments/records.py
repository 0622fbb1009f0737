"""Reads and writes the rows of experiments, of the log of decisions, and of what gateways are told.

Whoever changes something holds the row of the routing while its transaction lasts: so changes happen one after the
other, whichever replica makes them, and numbers that ascend are seen in their order.
"""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from servicekit.errors import AlreadyExists, NotFound, Reason
from services.experiments.candidates import RUNNING
from services.experiments.tables import APPLIED, DECISION, EXPERIMENT, PIN, ROUTING
from services.experiments.transitions import Deed, state_name
from triptych.experiments.v1 import experiment_pb2 as pb

RoutingRow = Row[*tuple[Any, ...]]
"""Id, revision, holdout_share, holdout_salt."""
_RUNNING = [state_name(state) for state in RUNNING]


@dataclass(frozen=True, slots=True)
class Known:
    """Is an experiment as it stands in the database."""

    experiment: pb.Experiment
    revision: int
    """Grows with each change."""


def lock(connection: Connection) -> RoutingRow:
    """Returns the routing's own row, which nobody else changes until the transaction ends; makes it the first time."""
    asked = select(ROUTING).with_for_update()
    row = connection.execute(asked).first()
    if row is None:
        first_insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        # Begins with the time, so that no gateway takes the routing of a new database for the one that it knows.
        first = {"id": 1, "revision": int(time.time()), "holdout_share": 0.0, "holdout_salt": secrets.token_hex(8)}
        connection.execute(first_insert(ROUTING).values(first).on_conflict_do_nothing())
        row = connection.execute(asked).one()
    return row


def tell_gateways(connection: Connection) -> None:
    """Gives the routing a new revision."""
    connection.execute(update(ROUTING).values(revision=ROUTING.c.revision + 1))


def routing(connection: Connection) -> RoutingRow | None:
    """Returns the routing's own row; None where there is none yet."""
    return connection.execute(select(ROUTING)).first()


def find(connection: Connection, name: str) -> Known:
    """Returns an experiment.

    Raises:
        NotFound: there is none of that name.
    """
    columns = EXPERIMENT.c.definition, EXPERIMENT.c.revision
    row = connection.execute(select(*columns).where(EXPERIMENT.c.name == name)).first()
    if row is None:
        message = f"There is no experiment {name[:64]!r}."
        raise NotFound(message, reason=Reason.EXPERIMENT_NOT_FOUND, field="name")
    return _known(*row)


def revision_of(connection: Connection, name: str) -> int | None:
    """Returns the revision of an experiment; None where there is none of that name."""
    return connection.execute(select(EXPERIMENT.c.revision).where(EXPERIMENT.c.name == name)).scalar()


def running(connection: Connection) -> list[Known]:
    """Returns the experiments that requests take part in, in the order in which they were started."""
    columns = EXPERIMENT.c.definition, EXPERIMENT.c.revision
    asked = select(*columns).where(EXPERIMENT.c.state.in_(_RUNNING))
    return [_known(*row) for row in connection.execute(asked.order_by(EXPERIMENT.c.started_us, EXPERIMENT.c.name))]


def newest(
    connection: Connection, count: int, before: tuple[int, str] | None, model: str, *, only_running: bool
) -> list[pb.Experiment]:
    """Returns experiments, the newest first.

    Args:
        connection: to read from.
        count: most to return.
        before: only those that are older than the one that was made then, by that name; None: all.
        model: only those of this model; empty: all.
        only_running: only those that requests take part in.
    """
    made, name = EXPERIMENT.c.created_us, EXPERIMENT.c.name
    asked = select(EXPERIMENT.c.definition, EXPERIMENT.c.revision)
    if before is not None:
        asked = asked.where(or_(made < before[0], and_(made == before[0], name < before[1])))
    if model:
        asked = asked.where(EXPERIMENT.c.model == model)
    if only_running:
        asked = asked.where(EXPERIMENT.c.state.in_(_RUNNING))
    rows = connection.execute(asked.order_by(made.desc(), name.desc()).limit(count))
    return [_known(*row).experiment for row in rows]


def add(connection: Connection, experiment: pb.Experiment) -> None:
    """Keeps a new experiment.

    Raises:
        AlreadyExists: there is one of that name.
    """
    if connection.execute(select(EXPERIMENT.c.name).where(EXPERIMENT.c.name == experiment.name)).first():
        raise AlreadyExists(f"There is an experiment {experiment.name!r} already.", field="experiment.name")
    made = {"created_us": experiment.create_time.ToMicroseconds(), "revision": 1}
    connection.execute(insert(EXPERIMENT).values(**_columns(experiment), **made))


def save(connection: Connection, experiment: pb.Experiment) -> None:
    """Keeps a change."""
    row = _columns(experiment) | {"revision": EXPERIMENT.c.revision + 1}
    connection.execute(update(EXPERIMENT).where(EXPERIMENT.c.name == experiment.name).values(row))


def remove(connection: Connection, name: str) -> None:
    """Throws an experiment away."""
    connection.execute(delete(EXPERIMENT).where(EXPERIMENT.c.name == name))


def log(connection: Connection, deed: Deed, experiment: str = "") -> None:
    """Adds an entry to the log of decisions."""
    facts = json.dumps(deed.facts, separators=(",", ":")) if deed.facts else ""
    row = {"time_us": deed.time_us, "action": deed.action, "actor": deed.actor, "reason": deed.reason, "facts": facts}
    connection.execute(insert(DECISION).values(experiment=experiment, **row))


def is_logged(connection: Connection, deed: Deed) -> bool:
    """Says whether the log tells already what somebody did at that time."""
    mine = and_(DECISION.c.time_us == deed.time_us, DECISION.c.action == deed.action, DECISION.c.actor == deed.actor)
    return connection.execute(select(DECISION.c.id).where(mine).limit(1)).first() is not None


def decisions(connection: Connection, count: int, before: int | None, name: str) -> list[pb.Decision]:
    """Returns entries of the log, the newest first.

    Args:
        connection: to read from.
        count: most to return.
        before: only those with a lower id; None: all.
        name: only those of this experiment; empty: all.
    """
    asked = select(DECISION)
    if before is not None:
        asked = asked.where(DECISION.c.id < before)
    if name:
        asked = asked.where(DECISION.c.experiment == name)
    return [_decision(row) for row in connection.execute(asked.order_by(DECISION.c.id.desc()).limit(count))]


def was_done(connection: Connection, experiment: pb.Experiment, action: str) -> bool:
    """Says whether the log holds such an action in the current epoch of an experiment."""
    since_us = experiment.epoch_time.ToMicroseconds()
    mine = and_(DECISION.c.experiment == experiment.name, DECISION.c.action == action, DECISION.c.time_us >= since_us)
    return connection.execute(select(DECISION.c.id).where(mine).limit(1)).first() is not None


def pinned(connection: Connection) -> dict[str, str]:
    """Returns the version that answers requests which name none, by model."""
    return {row.model: row.version for row in connection.execute(select(PIN))}


def hold_out(connection: Connection, share: float) -> None:
    """Keeps a part of all keys out of every experiment."""
    connection.execute(update(ROUTING).values(holdout_share=share))


def pin(connection: Connection, model: str, version: str, time_us: int) -> None:
    """Has a version answer requests which name none; an empty one: whichever the repository says."""
    connection.execute(delete(PIN).where(PIN.c.model == model))
    if version:
        connection.execute(insert(PIN).values(model=model, version=version, time_us=time_us))


def applied(connection: Connection) -> list[tuple[str, int]]:
    """Returns how far the facts of each journal are in the tables: the same again means that nothing came since."""
    return [(row.journal, row.position) for row in connection.execute(select(APPLIED).order_by(APPLIED.c.journal))]


def count_by_state(connection: Connection) -> dict[str, int]:
    """Returns how many experiments there are, by the state in which they are."""
    asked = select(EXPERIMENT.c.state, func.count()).group_by(EXPERIMENT.c.state)
    return {state: int(count) for state, count in connection.execute(asked)}


def _known(definition: str, revision: int) -> Known:
    experiment = pb.Experiment()
    json_format.Parse(definition, experiment, ignore_unknown_fields=True)  # of a newer release, after a step back
    return Known(experiment, revision)


def _columns(experiment: pb.Experiment) -> dict[str, object]:
    started_us = experiment.start_time.ToMicroseconds() if experiment.HasField("start_time") else None
    return {
        "name": experiment.name,
        "model": experiment.model,
        "state": state_name(experiment.state),
        "started_us": started_us,
        "definition": json_format.MessageToJson(experiment, indent=None, preserving_proto_field_name=True),
    }


def _decision(row: Row[*tuple[Any, ...]]) -> pb.Decision:
    decision = pb.Decision(
        id=row.id,
        experiment=row.experiment,
        action=row.action,
        actor=row.actor,
        reason=row.reason,
        facts_json=row.facts,
    )
    decision.time.FromMicroseconds(row.time_us)
    return decision
