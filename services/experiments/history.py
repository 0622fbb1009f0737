"""What was said of candidates in the course of time, in the database."""

from collections.abc import Iterable

from google.protobuf import json_format
from sqlalchemy import Connection, func, insert, select

from services.experiments.tables import VERDICT
from services.experiments.verdicts import Advice
from triptych.experiments.v1 import experiment_pb2 as pb

MOST = 1000
"""Verdicts of one candidate that are given out at once."""


def add(connection: Connection, experiment: str, verdict: pb.Verdict) -> None:
    """Keeps a verdict."""
    body = json_format.MessageToJson(verdict, indent=None, preserving_proto_field_name=True)
    row = {"candidate": verdict.candidate, "time_us": verdict.time.ToMicroseconds(), "body": body}
    connection.execute(insert(VERDICT).values(experiment=experiment, **row))


def last(connection: Connection, experiment: str, candidates: Iterable[str]) -> dict[str, pb.Verdict]:
    """Returns the last verdict of each of these candidates that has one."""
    newest = select(VERDICT.c.body).order_by(VERDICT.c.time_us.desc(), VERDICT.c.id.desc()).limit(1)
    of_each = (newest.where(VERDICT.c.experiment == experiment, VERDICT.c.candidate == each) for each in candidates)
    bodies = (connection.execute(asked).scalar() for asked in of_each)
    return {verdict.candidate: verdict for verdict in (_verdict(body) for body in bodies if body is not None)}


def condemned(connection: Connection, experiment: pb.Experiment, candidates: Iterable[str]) -> bool:
    """Says whether it was said of one of these candidates in the current epoch that it must be rolled back."""
    began_us = experiment.epoch_time.ToMicroseconds()
    mine = VERDICT.c.experiment == experiment.name, VERDICT.c.candidate.in_(list(candidates))
    bodies = connection.execute(select(VERDICT.c.body).where(*mine, VERDICT.c.time_us >= began_us)).scalars()
    said = map(_verdict, bodies)
    return any(each.epoch == experiment.epoch and each.advice == Advice.ROLL_BACK for each in said)


def since(connection: Connection, experiment: str, after_us: int | None) -> list[pb.Verdict]:
    """Returns verdicts, the oldest first; of a candidate that has more than `MOST`, so many, evenly thinned out.

    Args:
        connection: to read from.
        experiment: whose.
        after_us: only those that were said later; None: all.
    """
    mine = VERDICT.c.experiment == experiment
    if after_us is not None:
        mine &= VERDICT.c.time_us > after_us
    number = func.row_number().over(partition_by=VERDICT.c.candidate, order_by=VERDICT.c.id).label("number")
    total = func.count().over(partition_by=VERDICT.c.candidate).label("total")
    rows = select(VERDICT.c.id, VERDICT.c.body, number, total).where(mine).subquery()
    # True of so many numbers, the last one among them, as far apart as they can be; of all where there are fewer.
    chosen = (rows.c.number * MOST) % rows.c.total < MOST
    bodies = connection.execute(select(rows.c.body).where(chosen).order_by(rows.c.id)).scalars()
    return [_verdict(body) for body in bodies]


def _verdict(body: str) -> pb.Verdict:
    verdict = pb.Verdict()
    json_format.Parse(body, verdict, ignore_unknown_fields=True)
    return verdict
