"""Keeps experiments, pins and the holdout.

A change, its entry in the log, and what gateways are told of it are one transaction. Everything here waits for the
database: call it in a thread. All of it raises `Unavailable` while the database is away.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from sqlalchemy import Connection

from servicekit.errors import Unavailable
from services.experiments import account, changes, history, records, transitions
from services.experiments.changes import Change
from services.experiments.database import Database
from services.experiments.decisions import Action, Judged, Kind
from services.experiments.definitions import complete
from services.experiments.metrics import DECISIONS
from services.experiments.records import Known
from services.experiments.transitions import RULE, Deed
from triptych.experiments.v1 import evidence_service_pb2 as evidence_pb
from triptych.experiments.v1 import experiment_pb2 as pb

log = structlog.get_logger()


def now_us() -> int:
    """Returns the time."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Turn:
    """Is a transaction in which nobody else changes anything."""

    connection: Connection
    routing: records.RoutingRow
    done: list[str] = field(default_factory=list)
    """Actions that were logged."""

    def log(self, deed: Deed, experiment: str = "") -> None:
        """Adds an entry to the log of decisions."""
        records.log(self.connection, deed, experiment)
        self.done.append(deed.action)

    def change(self, experiment: pb.Experiment, deed: Deed, change: Change) -> pb.Experiment:
        """Changes an experiment, logs it and tells gateways, unless nothing changes; returns what became of it."""
        changed = change(self.connection, experiment, deed)
        if changed is not experiment:
            weights = {"weights": {arm.name: arm.weight for arm in changed.arms}}
            records.save(self.connection, changed)
            self.log(replace(deed, facts={**weights, **deed.facts}), changed.name)
            records.tell_gateways(self.connection)
        return changed


class Registry:
    """Does what people and rules want done."""

    def __init__(self, database: Database, clock_us: Callable[[], int] = now_us) -> None:
        self._database = database
        self._clock_us = clock_us

    def create(self, definition: pb.Experiment, actor: str, *, start: bool) -> pb.Experiment:
        """Makes a draft, and starts it where that is wanted.

        Raises:
            InvalidArgument: the definition breaks a limit, or would have no effect.
            AlreadyExists: there is one of that name.
            FailedPrecondition: it is to be started, and others have keys of its slot, or all keys.
        """
        definition = complete(definition)
        deed = self._deed("create", actor, definition.description)
        with self.turn() as turn:
            draft = transitions.created(definition, secrets.token_hex(8), deed)
            records.add(turn.connection, draft)
            turn.log(deed, draft.name)
            return turn.change(draft, self._deed("start", actor), changes.started) if start else draft

    def start(self, name: str, actor: str, reason: str) -> pb.Experiment:
        """Lets requests take part.

        Raises:
            NotFound: there is no experiment of that name.
            FailedPrecondition: it is no draft, or others have keys of its slot, or all keys.
        """
        return self._change(name, self._deed("start", actor, reason), changes.started)

    def set_weights(
        self, name: str, weights: Mapping[str, float], actor: str, reason: str, *, anew: bool = False
    ) -> pb.Experiment:
        """Gives the arms other weights, and ends the ramp; the same weights again change nothing.

        Args:
            name: of the experiment.
            weights: by arm; none, where evidence shall begin anew: they stay, and so does the ramp.
            actor: who wants it.
            reason: why.
            anew: whether evidence begins anew in any case.

        Raises:
            NotFound: there is no experiment of that name.
            FailedPrecondition: it does not run.
            InvalidArgument: an arm is missing, unknown, or has no weight that an arm can have.
        """
        return self._change(name, self._deed("weights", actor, reason), changes.reweighted(weights, anew=anew))

    def stop(self, name: str, actor: str, reason: str) -> pb.Experiment:
        """Ends an experiment.

        Raises:
            NotFound: there is no experiment of that name.
            FailedPrecondition: it does not run.
        """
        return self._end(name, self._deed("stop", actor, reason), changes.stopped)

    def promote(self, name: str, arm: str, actor: str, reason: str) -> pb.Experiment:
        """Ends an experiment, and pins the version of an arm or shadow.

        Raises:
            NotFound: there is no experiment of that name.
            FailedPrecondition: it does not run, nor was it stopped.
            InvalidArgument: it has no arm or shadow of that name.
        """
        return self._end(name, self._deed("promote", actor, reason), changes.promoted(arm))

    def delete(self, name: str, actor: str) -> None:
        """Throws a draft away.

        Raises:
            NotFound: there is no experiment of that name.
            FailedPrecondition: it is no draft.
        """
        with self.turn() as turn:
            experiment = records.find(turn.connection, name).experiment
            if experiment.state != pb.EXPERIMENT_STATE_DRAFT:
                raise transitions.wrong_state(experiment, "only a draft can be thrown away")
            records.remove(turn.connection, name)
            turn.log(self._deed("delete", actor), name)

    def pin(self, model: str, version: str, actor: str, reason: str) -> None:
        """Has a version answer requests which name none; an empty one: whichever the repository says."""
        with self.turn() as turn:
            if records.pinned(turn.connection).get(model, "") != version:
                self._pin(turn, model, version, actor, reason)

    def hold_out(self, share: float, actor: str, reason: str) -> None:
        """Keeps a part of all keys out of every experiment."""
        deed = self._deed("holdout", actor, reason, {"share": share})
        with self.turn() as turn:
            if turn.routing.holdout_share != share:
                records.hold_out(turn.connection, share)
                turn.log(deed)
                records.tell_gateways(turn.connection)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Opens a transaction in which nobody else changes anything, whichever replica they ask."""
        with self._database.begin() as connection:
            turn = Turn(connection, records.lock(connection))
            yield turn
        for action in turn.done:
            DECISIONS.labels(action).inc()

    def act(self, turn: Turn, known: Known, action: Action, facts: Mapping[str, Any]) -> bool:
        """Does what a rule wants, unless the experiment has changed since it was looked at; says whether it did.

        Args:
            turn: in which to do it.
            known: as it was looked at.
            action: what to do.
            facts: what it rests on.
        """
        if records.revision_of(turn.connection, known.experiment.name) != known.revision:
            return False
        turn.change(known.experiment, self._deed(action.kind, RULE, action.reason, facts), changes.acted(action))
        if action.kind is Kind.ROLL_BACK:
            self._leave_no_pin(turn, known.experiment, action)
        return True

    def get(self, name: str) -> pb.Experiment:
        """Returns an experiment.

        Raises:
            NotFound: there is none of that name.
        """
        with self._database.connect() as connection:
            return records.find(connection, name).experiment

    def newest(
        self, count: int, before: tuple[int, str] | None, model: str, *, only_running: bool
    ) -> list[pb.Experiment]:
        """Returns experiments, as `records.newest` does."""
        with self._database.connect() as connection:
            return records.newest(connection, count, before, model, only_running=only_running)

    def decisions(self, count: int, before: int | None, name: str) -> list[pb.Decision]:
        """Returns entries of the log, as `records.decisions` does."""
        with self._database.connect() as connection:
            return records.decisions(connection, count, before, name)

    def routing(self, known_revision: int) -> evidence_pb.GetRoutingResponse:
        """Returns what gateways must know; nothing but its revision where that is known."""
        with self._database.connect() as connection:
            row = records.routing(connection)
            if row is not None:
                known = row.revision == known_revision
                return evidence_pb.GetRoutingResponse(revision=row.revision) if known else _routing(connection, row)
        with self.turn() as turn:  # the first one of a new database
            return _routing(turn.connection, turn.routing)

    def _deed(self, action: str, actor: str, reason: str = "", facts: Mapping[str, Any] | None = None) -> Deed:
        return Deed(self._clock_us(), action, actor, reason, facts or {})

    def _pin(self, turn: Turn, model: str, version: str, actor: str, reason: str, experiment: str = "") -> None:
        deed = self._deed("pin" if version else "unpin", actor, reason, {"model": model, "version": version})
        records.pin(turn.connection, model, version, deed.time_us)
        turn.log(deed, experiment)
        records.tell_gateways(turn.connection)

    def _leave_no_pin(self, turn: Turn, experiment: pb.Experiment, action: Action) -> None:
        """Pins the control's version where that of an arm which is rolled back was pinned since the experiment began.

        Whoever leaves the arm gets the pinned version, which would be the same one, and so would everybody else.
        """
        control, *arms = experiment.arms
        bad = {arm.version for arm in arms if arm.name in action.names} - {control.version}
        pinned = records.pinned(turn.connection).get(experiment.model)
        if pinned in bad:
            reason = f"Version {pinned}, which was pinned, was rolled back."
            self._pin(turn, experiment.model, control.version, RULE, reason, experiment.name)

    def _change(self, name: str, deed: Deed, change: Change) -> pb.Experiment:
        with self.turn() as turn:
            return turn.change(records.find(turn.connection, name).experiment, deed, change)

    def _end(self, name: str, deed: Deed, change: Change) -> pb.Experiment:
        """Ends an experiment; what could be said of everybody is kept, and logged, since somebody did not wait for it.

        Counting may take a while, so it is done before anybody has to wait for this change.
        """
        with self._database.connect() as connection:
            before = records.find(connection, name).experiment
            said, judged = _last_words(connection, before, deed)
        deed = replace(deed, facts=account.told(before, said, judged))
        with self.turn() as turn:
            ended = turn.change(records.find(turn.connection, name).experiment, deed, change)
            for verdict in said if judged else ():
                history.add(turn.connection, name, verdict)
        return ended


def _last_words(connection: Connection, experiment: pb.Experiment, deed: Deed) -> tuple[list[pb.Verdict], list[Judged]]:
    """Returns what is said in the end; nothing where that goes wrong: somebody who wants to stop must be able to."""
    try:
        return account.last_words(connection, experiment, deed.time_us)
    except Unavailable:
        raise
    except Exception:
        log.exception("an experiment ends without a last verdict", experiment=experiment.name)
        return [], []


def _routing(connection: Connection, row: records.RoutingRow) -> evidence_pb.GetRoutingResponse:
    return evidence_pb.GetRoutingResponse(
        revision=row.revision,
        experiments=[transitions.shown(known.experiment) for known in records.running(connection)],
        holdout_share=row.holdout_share,
        holdout_salt=row.holdout_salt,
        pins=records.pinned(connection),
    )
