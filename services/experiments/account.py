"""What is said of everybody who is compared in an experiment: as callers read it, and as decisions log it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from google.protobuf import json_format
from sqlalchemy import Connection

from services.experiments import history
from services.experiments.candidates import compared, everybody, message_of, rules_for, runs
from services.experiments.decisions import Judged
from services.experiments.facts import gather
from services.experiments.verdicts import judge
from triptych.experiments.v1 import experiment_pb2 as pb


def last_words(
    connection: Connection, experiment: pb.Experiment, time_us: int
) -> tuple[list[pb.Verdict], list[Judged]]:
    """Returns what can be said of an experiment that is about to end: what the facts say now, with them.

    Where it has ended before, its facts may be gone: then it is what was said last, and without facts.
    """
    if not runs(experiment):
        return list(history.last(connection, experiment.name, everybody(experiment)).values()), []
    found = gather(connection, experiment, time_us)
    judged = [
        Judged(name, found[name], judge(found[name], rules_for(experiment, name), name))
        for name in compared(experiment)
    ]
    return messages(experiment, judged, time_us), judged


def messages(experiment: pb.Experiment, judged: Iterable[Judged], time_us: int) -> list[pb.Verdict]:
    """Returns verdicts as callers read them."""
    return [message_of(experiment, each.name, each.facts, each.verdict, time_us) for each in judged]


def told(experiment: pb.Experiment, verdicts: Iterable[pb.Verdict], judged: Iterable[Judged]) -> Mapping[str, Any]:
    """Returns verdicts as plain data, each with the counts that it rests on where they are known."""
    counts = {each.name: {"counts": asdict(each.facts)} for each in judged}
    return {
        "epoch": experiment.epoch,
        "verdicts": {each.candidate: {**_said(each), **counts.get(each.candidate, {})} for each in verdicts},
    }


def _said(verdict: pb.Verdict) -> dict[str, Any]:
    findings = [json_format.MessageToDict(finding) for finding in verdict.findings]
    return {"advice": verdict.advice, "sentence": verdict.sentence, "findings": findings}
