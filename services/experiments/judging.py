"""Looks at the facts of running experiments again and again, keeps what they say, and does what the rules want done."""

import asyncio
import functools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection

from servicekit.errors import Unavailable
from services.experiments import facts, history, metrics, records, transitions
from services.experiments.account import messages, told
from services.experiments.candidates import compared, everybody, has_ended, rules_for
from services.experiments.database import Database
from services.experiments.decisions import Action, Judged, Kind, decide
from services.experiments.records import Known
from services.experiments.registry import Registry, now_us
from services.experiments.threads import Threads
from services.experiments.verdicts import Advice, Facts, judge
from triptych.experiments.v1 import experiment_pb2 as pb

log = structlog.get_logger()

KEEP_EVERY_US = 60 * 1_000_000
"""A verdict that changes in its numbers only is kept so often; one that says something else, at once."""

REST = 4
"""Times as long as a look took, so that looks take no more than a fifth of a core."""


class Judging:
    """Judges; that everything it knows is in the database, several replicas may do so at the same time."""

    def __init__(self, database: Database, registry: Registry, clock_us: Callable[[], int] = now_us) -> None:
        self._database = database
        self._registry = registry
        self._clock_us = clock_us
        self._counted: dict[str, tuple[object, dict[str, Facts]]] = {}
        self._judge = functools.lru_cache(maxsize=256)(judge)  # a look costs milliseconds, and often nothing happened

    async def run(self, threads: Threads, interval_s: float) -> None:
        """Looks every so often, forever, and rests for longer where a look takes long."""
        while True:
            began = time.monotonic()
            try:
                await threads.run(self.look)
            except Unavailable:
                metrics.DATABASE_UP.set(0)
            except Exception:
                metrics.LOOK_FAILURES.inc()
                log.exception("a look at the experiments failed")
            await asyncio.sleep(max(interval_s, REST * (time.monotonic() - began)))

    def look(self) -> None:
        """Looks at every experiment that runs, once; what goes wrong with one leaves the others alone."""
        with self._database.connect() as connection:
            running = records.running(connection)
            _show(connection)
        advised: Counter[str] = Counter(dict.fromkeys(Advice, 0))
        for known in running:
            try:
                advised.update(self._look_at(known))
            except Unavailable:
                raise
            except Exception:
                metrics.LOOK_FAILURES.inc()
                log.exception("a look at an experiment failed", experiment=known.experiment.name)
        for name in set(self._counted) - {known.experiment.name for known in running}:
            self._counted.pop(name, None)
        for advice, count in advised.items():
            metrics.CANDIDATES.labels(advice).set(count)
        metrics.LOOKED.set(self._clock_us() / 1e6)

    def verdicts(self, name: str) -> list[pb.Verdict]:
        """Returns what the facts say now of each candidate and shadow; of those that were rolled back, the last word.

        Of an experiment that has ended it is the last word on everybody: facts are deleted some time after the end.

        Raises:
            NotFound: there is no experiment of that name.
        """
        with self._database.connect() as connection:
            experiment = records.find(connection, name).experiment
            judged = [] if has_ended(experiment) else self._judged(connection, experiment)
            now = {each.candidate: each for each in messages(experiment, judged, self._clock_us())}
            names = everybody(experiment)
            before = history.last(connection, name, [each for each in names if each not in now])
        found = (now.get(each) or before.get(each) for each in names)
        return [each for each in found if each is not None]

    def history(self, name: str, after_us: int | None) -> list[pb.Verdict]:
        """Returns what they said in the course of time.

        Raises:
            NotFound: there is no experiment of that name.
        """
        with self._database.connect() as connection:
            records.find(connection, name)
            return history.since(connection, name, after_us)

    def _look_at(self, known: Known) -> list[Advice]:
        """Looks at one, and returns what is advised."""
        experiment = known.experiment
        with self._database.connect() as connection:
            judged = self._judged(connection, experiment)
            before = history.last(connection, experiment.name, compared(experiment))
            repaired = records.was_done(connection, experiment, Kind.REPAIR)
            action = decide(experiment, judged, self._clock_us(), repaired=repaired)
            if action is not None and action.kind in (Kind.PROMOTE, Kind.RAMP) and experiment.rules.no_rollback:
                # An hour in which it was bad is not looked at for long, and nobody has rolled it back.
                action = None if history.condemned(connection, experiment, action.names) else action
        said = messages(experiment, judged, self._clock_us())
        if action is None:
            said = [each for each in said if _says_more(each, before.get(each.candidate))]
        if said or action is not None:
            self._keep(known, said, action)
        return [each.verdict.advice for each in judged]

    def _keep(self, known: Known, verdicts: Sequence[pb.Verdict], action: Action | None) -> None:
        name = known.experiment.name
        with self._registry.turn() as turn:
            for verdict in verdicts:
                history.add(turn.connection, name, verdict)
            acted = action is not None and self._registry.act(turn, known, action, _of(known, verdicts, action))
        if action is not None and acted:
            log.info("a rule acted", experiment=name, action=action.kind, of=action.names, reason=action.reason)

    def _judged(self, connection: Connection, experiment: pb.Experiment) -> list[Judged]:
        found = self._facts(connection, experiment)
        return [self._one(experiment, name, found[name]) for name in compared(experiment)]

    def _facts(self, connection: Connection, experiment: pb.Experiment) -> dict[str, Facts]:
        """Returns the facts; counted anew only where something came since they were, or another hour did."""
        now_us = self._clock_us()
        moment = experiment.epoch, facts.since_hour(now_us), records.applied(connection)
        known = self._counted.get(experiment.name)
        if known is not None and known[0] == moment:
            return known[1]
        found = facts.gather(connection, experiment, now_us)
        self._counted[experiment.name] = moment, found
        return found

    def _one(self, experiment: pb.Experiment, name: str, counted: Facts) -> Judged:
        return Judged(name, counted, self._judge(counted, rules_for(experiment, name), name))


def _of(known: Known, verdicts: Iterable[pb.Verdict], action: Action) -> Mapping[str, Any]:
    """Returns what an action rests on, as plain data."""
    return told(known.experiment, (each for each in verdicts if each.candidate in action.names), action.of)


def _show(connection: Connection) -> None:
    metrics.DATABASE_UP.set(1)
    counts = records.count_by_state(connection)
    for state in transitions.STATES:
        metrics.EXPERIMENTS.labels(state).set(counts.get(state, 0))
    routing = records.routing(connection)
    metrics.ROUTING_REVISION.set(routing.revision if routing is not None else 0)


def _says_more(verdict: pb.Verdict, before: pb.Verdict | None) -> bool:
    """Says whether a verdict is worth keeping after the one that was kept last."""
    if before is None or _words(verdict) != _words(before):
        return True
    since_us = verdict.time.ToMicroseconds() - before.time.ToMicroseconds()
    return since_us >= KEEP_EVERY_US and _numbers(verdict) != _numbers(before)


def _words(verdict: pb.Verdict) -> object:
    return verdict.epoch, verdict.advice, [(each.metric, each.word) for each in verdict.findings]


def _numbers(verdict: pb.Verdict) -> object:
    return verdict.sentence, [each.events for each in verdict.findings], verdict.control_keys, verdict.candidate_keys
