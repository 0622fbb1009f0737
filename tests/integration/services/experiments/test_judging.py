"""What rules do with experiments, over a real server, in both databases."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from fakes import evidence as happened
from fakes.experiments import shadowed, two_arms
from fakes.experiments_service import Stubs, serving
from fakes.postgres import Postgres, running_postgres
from fakes.servers import eventually
from prometheus_client import REGISTRY
from sqlalchemy import Engine, event

from services.experiments import history, records
from services.experiments.apply import apply
from services.experiments.database import Database
from services.experiments.decisions import Action, Judged, Kind
from services.experiments.judging import Judging
from services.experiments.registry import Registry
from services.experiments.rows import to_rows
from services.experiments.tables import APPLIED, EXPOSURE, VERDICT
from services.experiments.verdicts import Facts, Rules, judge
from triptych.experiments.v1 import evidence_service_pb2 as evidence_pb
from triptych.experiments.v1 import experiment_pb2
from triptych.experiments.v1 import experiment_service_pb2 as pb

TIMEOUT_S = 20
ARMS = [experiment_pb2.Arm(name=name, version=version, weight=1) for name, version in zip("abc", "123", strict=True)]
STOPPED, CONCLUDED = experiment_pb2.EXPERIMENT_STATE_STOPPED, experiment_pb2.EXPERIMENT_STATE_CONCLUDED
RUNNING = experiment_pb2.EXPERIMENT_STATE_RUNNING


@pytest.fixture
async def stubs(tmp_path: Path, database_url: str) -> AsyncIterator[Stubs]:
    """A service whose database is empty."""
    async with serving(tmp_path, database_url) as stubs:
        yield stubs


async def _start(stubs: Stubs, definition: experiment_pb2.Experiment) -> None:
    await stubs.experiments.CreateExperiment(
        pb.CreateExperimentRequest(experiment=definition, start=True), timeout=TIMEOUT_S
    )


async def _get(stubs: Stubs, name: str) -> experiment_pb2.Experiment:
    response = await stubs.experiments.GetExperiment(pb.GetExperimentRequest(name=name), timeout=TIMEOUT_S)
    experiment: experiment_pb2.Experiment = response.experiment
    return experiment


async def _acts(stubs: Stubs, name: str = "") -> list[experiment_pb2.Decision]:
    """Returns what rules did, the oldest first."""
    request = pb.ListDecisionsRequest(name=name, page_size=1000)
    response = await stubs.experiments.ListDecisions(request, timeout=TIMEOUT_S)
    return [each for each in reversed(response.decisions) if each.actor == "rule"]


async def _verdicts(stubs: Stubs, name: str) -> list[experiment_pb2.Verdict]:
    response = await stubs.experiments.GetVerdicts(pb.GetVerdictsRequest(name=name), timeout=TIMEOUT_S)
    return list(response.verdicts)


async def _record(stubs: Stubs, *records_: Any) -> None:
    await stubs.evidence.RecordEvidence(happened.evidence(*records_), timeout=TIMEOUT_S)


def _dealt(
    arm: str, count: int, *, failed: int = 0, name: str = "speed", epoch: int = 1, first: int = 0
) -> Iterable[evidence_pb.Exposure]:
    """Returns that so many keys were dealt an arm, of which the first ones failed."""
    for number in range(first, first + count):
        known = {"experiment": name, "epoch": epoch, "key_hash": _key(arm, number)}
        yield happened.exposure(0, arm, **known, failed=number < first + failed)


def _key(arm: str, number: int) -> bytes:
    """Returns a key that no other arm was dealt."""
    return happened.key(sum(arm.encode()) << 64 | number)


async def _until(stubs: Stubs, name: str, state: int) -> experiment_pb2.Experiment:
    async def there() -> bool:
        return (await _get(stubs, name)).state == state

    await eventually(there, TIMEOUT_S)
    return await _get(stubs, name)


async def test_a_bad_candidate_is_rolled_back(stubs: Stubs) -> None:
    """The log says why, and by which numbers; gateways hear of it at once."""
    await _start(stubs, two_arms())
    known = (await stubs.evidence.GetRouting(evidence_pb.GetRoutingRequest(), timeout=TIMEOUT_S)).revision
    await _record(stubs, *_dealt("live", 200), *_dealt("fast", 200, failed=60))
    stopped = await _until(stubs, "speed", STOPPED)
    (act,) = await _acts(stubs)
    facts = json.loads(act.facts_json)
    request = evidence_pb.GetRoutingRequest(known_revision=known)
    told = await stubs.evidence.GetRouting(request, timeout=TIMEOUT_S)

    assert ("roll back", act.reason) == (act.action, stopped.detail)
    assert act.reason.startswith("fast fails more often by ")
    assert [[0, 200], [60, 200]] == facts["verdicts"]["fast"]["counts"]["failed"]
    assert (1, {"live": 1, "fast": 1}) == (facts["epoch"], facts["weights"])
    assert (True, []) == (told.revision > known, list(told.experiments))


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_what_happens_is_counted(stubs: Stubs) -> None:
    """For dashboards and alarms."""
    counted = {
        name: (_value(name, **labels), grows, labels)
        for name, labels, grows in (
            ("triptych_experiment_decisions_total", {"action": "roll back"}, 1),
            ("triptych_experiment_records_total", {"kind": "exposures"}, 400),
            ("triptych_feedback_labels_total", {"outcome": "unknown"}, 1),
        )
    }
    await _start(stubs, two_arms())
    said = happened.feedback(*(happened.said("nobody", 1) for _ in range(3)))
    await stubs.feedback.SubmitFeedback(said, timeout=TIMEOUT_S)
    await _record(stubs, *_dealt("live", 200), *_dealt("fast", 200, failed=60))
    await _until(stubs, "speed", STOPPED)

    for name, (before, grows, labels) in counted.items():
        assert (name, before + grows) == (name, _value(name, **labels))
    await eventually(lambda: _value("triptych_experiments", state="stopped") == 1, TIMEOUT_S)
    assert 0 < _value("triptych_experiments_routing_revision")


async def test_its_verdict_stays(stubs: Stubs) -> None:
    """What the facts say of an experiment that has ended, and what they said before."""
    await _start(stubs, two_arms())
    await _record(stubs, *_dealt("live", 200), *_dealt("fast", 200, failed=60))
    await _until(stubs, "speed", STOPPED)
    (now,) = await _verdicts(stubs, "speed")
    listed = await stubs.experiments.ListVerdicts(pb.ListVerdictsRequest(name="speed"), timeout=TIMEOUT_S)
    request = pb.ListVerdictsRequest(name="speed", after=listed.verdicts[-1].time)
    later = await stubs.experiments.ListVerdicts(request, timeout=TIMEOUT_S)

    assert ("roll back", 200, 200) == (now.advice, now.control_keys, now.candidate_keys)
    assert [("late answers", "open"), ("failures", "too bad")] == [(each.metric, each.word) for each in now.findings]
    assert ("roll back", now.sentence) == (listed.verdicts[-1].advice, listed.verdicts[-1].sentence)
    assert [] == list(later.verdicts)


async def test_who_must_not_be_rolled_back_is_not(stubs: Stubs) -> None:
    """The verdict says so all the same."""
    await _start(stubs, two_arms(rules=experiment_pb2.Rules(no_rollback=True)))
    await _record(stubs, *_dealt("live", 200), *_dealt("fast", 200, failed=60))

    async def told() -> bool:
        listed = await stubs.experiments.ListVerdicts(pb.ListVerdictsRequest(name="speed"), timeout=TIMEOUT_S)
        return "roll back" in [each.advice for each in listed.verdicts]

    await eventually(told, TIMEOUT_S)
    assert (RUNNING, []) == ((await _get(stubs, "speed")).state, await _acts(stubs))


async def test_one_of_several_candidates_is_rolled_back(stubs: Stubs) -> None:
    """The others go on, in a new epoch; evidence that comes late of the old one changes nothing."""
    await _start(stubs, two_arms(arms=ARMS))
    await _record(stubs, *_dealt("a", 300), *_dealt("b", 300, failed=120), *_dealt("c", 300))

    async def rolled() -> bool:
        return (await _get(stubs, "speed")).epoch == 2

    await eventually(rolled, TIMEOUT_S)
    await _record(stubs, *_dealt("c", 300, failed=300, first=1000), *_dealt("a", 9, epoch=2), *_dealt("c", 9, epoch=2))
    experiment = await _get(stubs, "speed")
    routing = await stubs.evidence.GetRouting(evidence_pb.GetRoutingRequest(), timeout=TIMEOUT_S)

    async def counted() -> bool:
        return (await _verdicts(stubs, "speed"))[-1].candidate_keys == 9

    await eventually(counted, TIMEOUT_S)
    assert (RUNNING, [1, 0, 1]) == (experiment.state, [arm.weight for arm in experiment.arms])
    assert ["a", "c"] == [arm.name for arm in routing.experiments[0].arms]
    assert ["roll back"] == [each.action for each in await _acts(stubs)]
    assert [("b", "roll back", 1), ("c", "go on", 2)] == [
        (each.candidate, each.advice, each.epoch) for each in await _verdicts(stubs, "speed")
    ]


def _seen(count: int, *, failed: int = 0, differ: int = 0) -> Iterable[Any]:
    """Returns that a shadow saw so many pictures, each of a key of its own."""
    for number in range(count):
        known = {"experiment": "gaze", "epoch": 1, "arm": "live", "key_hash": happened.key(number)}
        first = None if number < failed else 1 if number < failed + differ else 0
        yield happened.exposure(number, "live", experiment="gaze", epoch=1)
        yield happened.prediction(f"p{number}", 0, **known)
        yield happened.shadowed(f"p{number}", first, 0, experiment="gaze", epoch=1)


LAX = experiment_pb2.Rules(accuracy_margin=0.05, promote_no_worse=True, auto_promote=True)


async def test_a_good_shadow_is_promoted(stubs: Stubs) -> None:
    """Without one label; its version is pinned."""
    await _start(stubs, shadowed(rules=LAX))
    await _record(stubs, *_seen(800, differ=4))
    concluded = await _until(stubs, "gaze", CONCLUDED)
    (act,) = await _acts(stubs)
    routing = await stubs.evidence.GetRouting(evidence_pb.GetRoutingRequest(), timeout=TIMEOUT_S)
    (verdict,) = await _verdicts(stubs, "gaze")

    assert ("promote", act.reason) == (act.action, concluded.detail)
    assert act.reason.startswith("int8 is no worse: at most ")
    assert {"cats": "2"} == dict(routing.pins)
    assert (800, 0) == (verdict.control_keys, verdict.candidate_keys)
    assert {"failures", "disagreement"} == {each.metric for each in verdict.findings}


async def test_a_shadow_that_fails_is_rolled_back(stubs: Stubs) -> None:
    """However well it answers what it answers; an experiment with nothing else to compare ends."""
    await _start(stubs, shadowed(rules=LAX))
    await _record(stubs, *_seen(800, failed=200))
    await _until(stubs, "gaze", STOPPED)

    assert ["roll back"] == [each.action for each in await _acts(stubs)]


async def test_a_better_candidate_is_promoted(stubs: Stubs) -> None:
    """By its labels, which come afterwards."""
    rules = experiment_pb2.Rules(auto_promote=True, slow_margin=0.1, failed_margin=0.1)
    await _start(stubs, two_arms(rules=rules))
    await _record(stubs, *_dealt("live", 400), *_dealt("fast", 400))
    known = {"experiment": "speed", "epoch": 1}
    answers = [
        happened.prediction(f"{arm}{number}", 0, arm=arm, key_hash=_key(arm, number), **known)
        for arm in ("live", "fast")
        for number in range(400)
    ]
    await _record(stubs, *answers)
    said = [happened.said(f"live{number}", number % 2) for number in range(400)]
    said += [happened.said(f"fast{number}", int(number % 10 == 0)) for number in range(400)]
    await stubs.feedback.SubmitFeedback(happened.feedback(*said), timeout=TIMEOUT_S)
    await _until(stubs, "speed", CONCLUDED)
    (act,) = await _acts(stubs)
    routing = await stubs.evidence.GetRouting(evidence_pb.GetRoutingRequest(), timeout=TIMEOUT_S)

    assert act.reason.startswith("fast is better by ")
    assert {"cats": "2"} == dict(routing.pins)


async def test_a_broken_dealing_is_told_once(stubs: Stubs) -> None:
    """Of an epoch; meanwhile nobody is rolled back."""
    await _start(stubs, two_arms())
    for epoch in (1, 2):
        await _record(stubs, *_dealt("live", 400, epoch=epoch), *_dealt("fast", 200, failed=200, epoch=epoch))

        async def told(count: int = epoch) -> bool:
            return len(await _acts(stubs)) == count

        await eventually(told, TIMEOUT_S)
        if epoch == 1:
            request = pb.SetWeightsRequest(name="speed", weights={"live": 2, "fast": 2})
            await stubs.experiments.SetWeights(request, timeout=TIMEOUT_S)
    await asyncio.sleep(0.3)  # some looks more
    experiment = await _get(stubs, "speed")

    assert ["repair", "repair"] == [each.action for each in await _acts(stubs)]
    assert (RUNNING, (await _acts(stubs))[-1].reason) == (experiment.state, experiment.detail)
    assert experiment.detail.startswith("fast was dealt 200 of 600 keys, where its part is 300")


async def test_a_ramp_goes_to_its_end(stubs: Stubs) -> None:
    """Each step once it has held, and seen enough keys."""
    await _start(stubs, two_arms(ramp=experiment_pb2.Ramp(steps=[0.25, 0.5], hold_s=1, min_keys=30)))
    for epoch, (live, fast) in ((1, (90, 30)), (2, (30, 30))):

        async def there(wanted: int = epoch) -> bool:
            return (await _get(stubs, "speed")).epoch == wanted

        await eventually(there, TIMEOUT_S)
        await _record(stubs, *_dealt("live", live, epoch=epoch), *_dealt("fast", fast, epoch=epoch))
    ended = await _until(stubs, "speed", RUNNING)

    assert (2, 1, [0.5, 0.5]) == (ended.epoch, ended.step, [arm.weight for arm in ended.arms])
    assert [
        ("ramp", "fast gets 50% of the keys, step 2 of 2"),
        ("ramp", "fast has had every step of the ramp, and keeps 50% of the keys"),
    ] == [(each.action, each.reason.partition(":")[0]) for each in await _acts(stubs)]


async def test_a_bad_candidate_ends_its_ramp(stubs: Stubs) -> None:
    """At the step where it shows."""
    await _start(stubs, two_arms(ramp=experiment_pb2.Ramp(steps=[0.1, 0.5], hold_s=1, min_keys=1)))
    await _record(stubs, *_dealt("live", 900), *_dealt("fast", 100, failed=50))
    stopped = await _until(stubs, "speed", STOPPED)

    assert (0, ["roll back"]) == (stopped.step, [each.action for each in await _acts(stubs)])


async def test_a_restart_forgets_nothing(tmp_path: Path, database_url: str) -> None:
    """What came before counts together with what comes after."""
    async with serving(tmp_path, database_url) as stubs:
        await _start(stubs, two_arms())
        await _record(stubs, *_dealt("live", 30), *_dealt("fast", 30, failed=8))

        async def judged() -> bool:
            return (await _verdicts(stubs, "speed"))[0].candidate_keys == 30

        await eventually(judged, TIMEOUT_S)
        (before,) = await _verdicts(stubs, "speed")
        assert "go on" == before.advice
    async with serving(tmp_path, database_url) as stubs:
        (again,) = await _verdicts(stubs, "speed")
        assert (before.sentence, before.epoch) == (again.sentence, again.epoch)
        await _record(stubs, *_dealt("live", 30, first=30), *_dealt("fast", 30, failed=12, first=30))
        await _until(stubs, "speed", STOPPED)
        facts = json.loads((await _acts(stubs))[0].facts_json)

    assert [[0, 60], [20, 60]] == facts["verdicts"]["fast"]["counts"]["failed"]


async def test_replicas_do_each_thing_once(tmp_path: Path, postgres: Postgres) -> None:
    """Three on one PostgreSQL, which look all the time: one of them rolls back, promotes, or goes a step."""
    url, names = postgres.new_database(), [f"e{number}" for number in range(6)]
    ramp = experiment_pb2.Ramp(steps=[0.25, 0.5], hold_s=1, min_keys=1)
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(serving(tmp_path / str(number), url, verdict_interval_s=0.01))
            for number in range(3)
        ]
        for name in names:
            await _start(replicas[0], two_arms(name, model=name))
        await _start(replicas[0], two_arms("slow", model="slow", ramp=ramp))
        await _start(replicas[0], shadowed(rules=LAX))
        for name in names:
            await _record(replicas[1], *_dealt("live", 200, name=name), *_dealt("fast", 200, failed=90, name=name))
        await _record(replicas[2], *_dealt("live", 75, name="slow"), *_dealt("fast", 25, name="slow"))
        await _record(replicas[2], *_seen(800))
        for name in names:
            await _until(replicas[0], name, STOPPED)
        await _until(replicas[0], "gaze", CONCLUDED)

        async def grown() -> bool:
            return (await _get(replicas[0], "slow")).epoch == 2

        await eventually(grown, TIMEOUT_S)
        await asyncio.sleep(0.2)  # a few looks more of each
        acts = Counter((each.experiment, each.action) for each in await _acts(replicas[0]))

    assert acts == {**{(name, "roll back"): 1 for name in names}, ("gaze", "promote"): 1, ("slow", "ramp"): 1}


async def test_people_at_several_replicas_do_not_both_act(tmp_path: Path, postgres: Postgres) -> None:
    """Of those who promote at the same time one does, and the others are told how it stands."""
    url = postgres.new_database()
    async with serving(tmp_path / "one", url) as one, serving(tmp_path / "two", url) as two:
        await _start(one, two_arms())
        calls = [
            stubs.experiments.PromoteArm(pb.PromoteArmRequest(name="speed", arm=arm), timeout=TIMEOUT_S)
            for stubs in (one, two)
            for arm in ("live", "fast") * 4
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        codes = Counter(
            outcome.code().name if isinstance(outcome, grpc.aio.AioRpcError) else "OK" for outcome in outcomes
        )
        log = await one.experiments.ListDecisions(pb.ListDecisionsRequest(name="speed"), timeout=TIMEOUT_S)

    assert codes == {"OK": 1, "FAILED_PRECONDITION": 15}
    assert ["promote", "start", "create"] == [each.action for each in log.decisions]


async def test_routing_is_known_while_the_database_is_away(tmp_path: Path) -> None:
    """What needs it says so, and all is well once it is back."""
    with running_postgres() as server:
        async with serving(tmp_path, server.new_database()) as stubs:
            await _start(stubs, two_arms())
            before = await stubs.evidence.GetRouting(evidence_pb.GetRoutingRequest(), timeout=TIMEOUT_S)
            server.stop()
            during = await stubs.evidence.GetRouting(evidence_pb.GetRoutingRequest(), timeout=TIMEOUT_S)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await _get(stubs, "speed")
            await _record(stubs, *_dealt("live", 200), *_dealt("fast", 200, failed=90))
            server.start()
            await eventually(lambda: _answers(stubs), TIMEOUT_S)
            await _until(stubs, "speed", STOPPED)

    assert before == during
    assert "UNAVAILABLE" == caught.value.code().name


async def _answers(stubs: Stubs) -> bool:
    try:
        await _get(stubs, "speed")
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    return True


def test_a_replica_that_hangs_does_not_hold_up_the_others(postgres: Postgres) -> None:
    """For longer than its transaction may stand still, and nobody waits for a lock for ever."""
    database = Database(postgres.new_database())
    with database.begin() as connection:
        bounds = [
            connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("lock_timeout", "idle_in_transaction_session_timeout")
        ]
    database.close()

    assert ["10s", "30s"] == bounds


class _Clock:
    def __init__(self) -> None:
        self.now_us = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def database(database_url: str) -> Iterable[Database]:
    """An empty database."""
    database = Database(database_url)
    yield database
    database.close()


def test_a_rule_does_not_act_on_what_has_changed(database: Database) -> None:
    """Since somebody looked."""
    registry = Registry(database)
    registry.create(two_arms(), "anna", start=True)
    with database.connect() as connection:
        known = records.find(connection, "speed")
    registry.set_weights("speed", {"live": 3, "fast": 1}, "anna", "")
    with registry.turn() as turn:
        acted = registry.act(turn, known, Action(Kind.ROLL_BACK, (), "late"), {})

    assert not acted
    assert ["weights", "start", "create"] == [each.action for each in registry.decisions(10, None, "")]


def test_an_experiment_stops_when_its_time_is_over(database: Database) -> None:
    """By itself, and the log says what was known then."""
    clock = _Clock()
    registry = Registry(database, clock)
    judging = Judging(database, registry, clock)
    registry.create(two_arms(rules=experiment_pb2.Rules(stop_after_s=3600)), "anna", start=True)
    _write(database, 10)
    clock.now_us += 3_599_000_000
    judging.look()
    before = registry.get("speed").state
    clock.now_us += 1_000_000
    judging.look()
    stopped, entry = registry.get("speed"), registry.decisions(1, None, "speed")[0]

    assert (RUNNING, STOPPED, clock.now_us) == (before, stopped.state, stopped.end_time.ToMicroseconds())
    assert ("stop", "rule", stopped.detail) == (entry.action, entry.actor, entry.reason)
    assert entry.reason.startswith("It has run for 3,600 s, its time. Nothing")
    assert ["fast"] == list(json.loads(entry.facts_json)["verdicts"])


def test_a_pinned_version_that_is_rolled_back_is_pinned_no_more(database: Database) -> None:
    """Else whoever leaves the arm would get the same version, and everybody else with them."""
    registry = Registry(database)
    registry.create(two_arms(), "anna", start=True)
    registry.pin("cats", "2", "anna", "it looks good")
    with database.connect() as connection:
        known = records.find(connection, "speed")
    with registry.turn() as turn:
        assert registry.act(
            turn, known, Action(Kind.ROLL_BACK, (Judged("fast", Facts(), judge(Facts(), Rules())),), "late"), {}
        )
    with database.connect() as connection:
        assert {"cats": "1"} == records.pinned(connection)
    assert STOPPED == registry.get("speed").state
    assert [("pin", "rule"), ("roll back", "rule")] == [
        (each.action, each.actor) for each in registry.decisions(2, None, "speed")
    ]
    assert "Version 2" in registry.decisions(1, None, "speed")[0].reason


def test_who_was_bad_for_an_hour_is_not_raised_where_nobody_is_rolled_back(database: Database) -> None:
    """The hour is looked at for two hours only; what was said in it holds until the epoch's end."""
    clock = _Clock()
    registry = Registry(database, clock)
    ramp = experiment_pb2.Ramp(steps=[0.25, 0.5], hold_s=1, min_keys=1)
    registry.create(two_arms(ramp=ramp, rules=experiment_pb2.Rules(no_rollback=True)), "anna", start=True)
    _write(database, 10)
    with registry.turn() as turn:
        for number in range(2 * history.MOST):  # far more than a history gives out
            said = experiment_pb2.Verdict(candidate="fast", epoch=1, advice="go on" if number != 1 else "roll back")
            said.time.FromMicroseconds(clock.now_us + number)
            history.add(turn.connection, "speed", said)
    clock.now_us += 5_000_000
    Judging(database, registry, clock).look()
    kept = registry.get("speed").step
    registry.set_weights("speed", {}, "anna", "it is mended", anew=True)
    _write(database, 10, epoch=2)
    clock.now_us += 5_000_000
    Judging(database, registry, clock).look()

    assert (0, 1) == (kept, registry.get("speed").step)


def test_a_verdict_is_kept_when_it_says_more(database: Database) -> None:
    """At once where its words change; else once a minute, and only where its numbers do."""
    clock = _Clock()
    registry = Registry(database, clock)
    judging = Judging(database, registry, clock)
    registry.create(two_arms(), "anna", start=True)
    kept = []
    for second, keys in ((0, 0), (2, 10), (4, 20), (70, 20), (72, 30), (140, 30), (200, 30)):
        clock.now_us = 1_800_000_000_000_000 + second * 1_000_000
        _write(database, keys)
        judging.look()
        kept.append(len(judging.history("speed", None)))

    assert [1, 2, 2, 3, 3, 4, 4] == kept


@pytest.mark.parametrize("end", ["stop", "promote"])
def test_who_ends_an_experiment_leaves_its_last_verdict(database: Database, end: str) -> None:
    """As fresh as the end, and in the log; and it stays when the facts are deleted, also for who promotes later."""
    clock = _Clock()
    registry = Registry(database, clock)
    judging = Judging(database, registry, clock)
    registry.create(two_arms(shadows=shadowed().shadows), "anna", start=True)
    _write(database, 10)
    judging.look()
    _write(database, 20)
    if end == "stop":
        registry.stop("speed", "anna", "no time")
    else:
        registry.promote("speed", "fast", "anna", "no time")
    _write(database, 0)
    verdicts = judging.verdicts("speed")
    facts = json.loads(registry.decisions(1, None, "speed")[0].facts_json)

    assert [("fast", 10), ("int8", 0)] == [(each.candidate, each.candidate_keys) for each in verdicts]
    assert verdicts[0] == judging.history("speed", None)[-2]
    assert [10, 10] == facts["verdicts"]["fast"]["counts"]["assigned"]
    assert ("go on", verdicts[0].sentence) == tuple(facts["verdicts"]["fast"][name] for name in ("advice", "sentence"))
    assert {"live": 1, "fast": 1} == facts["weights"]
    if end == "stop":
        registry.promote("speed", "int8", "anna", "")
        later = json.loads(registry.decisions(1, None, "speed")[0].facts_json)
        assert verdicts[0].sentence == later["verdicts"]["fast"]["sentence"]
        assert verdicts == judging.verdicts("speed")


def test_a_rule_that_ends_an_experiment_leaves_its_last_verdict(database: Database) -> None:
    """Of everybody, also of those whose words are the same as before."""
    registry = Registry(database)
    judging = Judging(database, registry)
    registry.create(two_arms(arms=ARMS[:2], shadows=shadowed().shadows), "anna", start=True)
    judging.look()
    with database.begin() as connection:
        exposures = [*_dealt("a", 200), *_dealt("b", 200, failed=60)]
        apply(connection, to_rows(happened.entries([happened.evidence(*exposures)]), "j", 1))
        connection.execute(APPLIED.insert().values(journal="j", position=1))
    judging.look()

    assert STOPPED == registry.get("speed").state
    assert [("b", 200, "roll back"), ("int8", 200, "go on")] == [
        (each.candidate, each.control_keys, each.advice) for each in judging.verdicts("speed")
    ]


def _write(database: Database, keys: int, *, epoch: int = 1) -> None:
    with database.begin() as connection:
        connection.execute(EXPOSURE.delete())
        connection.execute(APPLIED.delete())
        connection.execute(APPLIED.insert().values(journal="j", position=keys))
        rows = [
            {
                "experiment": "speed",
                "epoch": epoch,
                "key_hash": happened.key(number),
                "arm": ("live", "fast")[number % 2],
                "failed": False,
                "slow": False,
                "time_us": 1,
            }
            for number in range(keys)
        ]
        if rows:
            connection.execute(EXPOSURE.insert(), rows)


def test_facts_are_counted_when_something_came(database: Database) -> None:
    """And not again and again; another epoch is counted as well."""
    registry = Registry(database)
    judging = Judging(database, registry)
    registry.create(two_arms(), "anna", start=True)
    _write(database, 10)
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.extend(re.findall(r"FROM (exposure)", statement))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        counts = []
        for change in (
            lambda: None,
            lambda: None,
            lambda: _write(database, 20),
            lambda: None,
            lambda: registry.set_weights("speed", {"live": 3, "fast": 1}, "anna", ""),
        ):
            change()
            asked.clear()
            judging.look()
            counts.append(len(asked))
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert [1, 0, 1, 0, 1] == counts


def test_verdicts_are_thinned_out_evenly(database: Database) -> None:
    """The last one is always there."""
    with database.begin() as connection:
        bodies = ((number, f'{{"candidate": "fast", "sentence": "{number}"}}') for number in range(1, 2501))
        rows = [{"experiment": "speed", "candidate": "fast", "time_us": time, "body": body} for time, body in bodies]
        connection.execute(VERDICT.insert(), rows)
        history.add(connection, "speed", experiment_pb2.Verdict(candidate="slow", sentence="few"))
    with database.connect() as connection:
        found = history.since(connection, "speed", None)
        rest = history.since(connection, "speed", 2495)
    fast = [int(each.sentence) for each in found if each.candidate == "fast"]

    assert (1000, 2500) == (len(fast), fast[-1])
    assert {2, 3} == {after - before for before, after in pairwise(fast)}
    assert "few" in [each.sentence for each in found]
    assert ["2496", "2497", "2498", "2499", "2500"] == [each.sentence for each in rest]
