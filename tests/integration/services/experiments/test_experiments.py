"""What people do with experiments, over a real server, in both databases."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from fakes.experiments import shadowed, two_arms
from fakes.experiments_service import Stubs, serving
from fakes.scripted import field_of, reason_of
from grpc_health.v1 import health_pb2, health_pb2_grpc

from triptych.experiments.v1 import evidence_service_pb2 as evidence_pb
from triptych.experiments.v1 import experiment_pb2
from triptych.experiments.v1 import experiment_service_pb2 as pb

TIMEOUT_S = 20


@pytest.fixture
async def stubs(tmp_path: Path, database_url: str) -> AsyncIterator[Stubs]:
    """A service whose database is empty."""
    async with serving(tmp_path, database_url) as stubs:
        yield stubs


async def _create(stubs: Stubs, definition: experiment_pb2.Experiment, *, start: bool = False) -> Any:
    request = pb.CreateExperimentRequest(experiment=definition, start=start, actor="anna")
    return (await stubs.experiments.CreateExperiment(request, timeout=TIMEOUT_S)).experiment


async def _get(stubs: Stubs, name: str) -> Any:
    response = await stubs.experiments.GetExperiment(pb.GetExperimentRequest(name=name), timeout=TIMEOUT_S)
    return response.experiment


async def _log(stubs: Stubs, name: str = "") -> list[experiment_pb2.Decision]:
    response = await stubs.experiments.ListDecisions(pb.ListDecisionsRequest(name=name), timeout=TIMEOUT_S)
    return list(response.decisions)


async def _actions(stubs: Stubs, name: str = "") -> list[tuple[str, str, str]]:
    """Returns what the log says, the oldest first."""
    return [(each.action, each.actor, each.reason) for each in reversed(await _log(stubs, name))]


async def _routing(stubs: Stubs, known_revision: int = 0) -> evidence_pb.GetRoutingResponse:
    request = evidence_pb.GetRoutingRequest(known_revision=known_revision)
    response: evidence_pb.GetRoutingResponse = await stubs.evidence.GetRouting(request, timeout=TIMEOUT_S)
    return response


async def test_a_draft_is_made(stubs: Stubs) -> None:
    """No gateway hears of it."""
    made = await _create(stubs, two_arms(description="Is it faster?"))

    assert (experiment_pb2.EXPERIMENT_STATE_DRAFT, 0) == (made.state, made.epoch)
    assert made.salt
    assert made == await _get(stubs, "speed")
    assert not (await _routing(stubs)).experiments
    assert [("create", "anna", "Is it faster?")] == await _actions(stubs)


async def test_an_experiment_is_started_and_stopped(stubs: Stubs) -> None:
    """Each change is logged, and gateways get the whole of it."""
    await _create(stubs, two_arms())
    before = await _routing(stubs)
    started = (
        await stubs.experiments.StartExperiment(pb.StartExperimentRequest(name="speed", reason="go"), timeout=TIMEOUT_S)
    ).experiment
    during = await _routing(stubs, before.revision)
    stopped = (
        await stubs.experiments.StopExperiment(
            pb.StopExperimentRequest(name="speed", actor="bert", reason="enough"), timeout=TIMEOUT_S
        )
    ).experiment
    after = await _routing(stubs, during.revision)

    assert (experiment_pb2.EXPERIMENT_STATE_RUNNING, "somebody started it: go") == (started.state, started.detail)
    assert [started] == list(during.experiments)
    assert (experiment_pb2.EXPERIMENT_STATE_STOPPED, "bert stopped it: enough") == (stopped.state, stopped.detail)
    assert 0 < before.revision < during.revision < after.revision
    assert not after.experiments
    assert [("create", "anna", ""), ("start", "somebody", "go"), ("stop", "bert", "enough")] == await _actions(stubs)


async def test_an_experiment_may_start_at_once(stubs: Stubs) -> None:
    """Made and started is one transaction."""
    assert experiment_pb2.EXPERIMENT_STATE_RUNNING == (await _create(stubs, two_arms(), start=True)).state
    assert ["create", "start"] == [action for action, *_ in await _actions(stubs)]


async def test_what_cannot_start_is_not_made(stubs: Stubs) -> None:
    """Its name is free."""
    await _create(stubs, two_arms("first"), start=True)
    with pytest.raises(grpc.aio.AioRpcError):
        await _create(stubs, two_arms("second"), start=True)
    await _create(stubs, two_arms("second"))


async def test_gateways_that_know_are_told_nothing(stubs: Stubs) -> None:
    """But the revision."""
    await _create(stubs, two_arms(), start=True)
    first = await _routing(stubs)

    assert evidence_pb.GetRoutingResponse(revision=first.revision) == await _routing(stubs, first.revision)
    assert first == await _routing(stubs, first.revision - 1)


async def test_those_that_run_are_told_as_they_were_started(stubs: Stubs) -> None:
    """Not as they were made."""
    for name in ("one", "two"):
        await _create(stubs, two_arms(name, model=name))
    for name in ("two", "one"):
        await stubs.experiments.StartExperiment(pb.StartExperimentRequest(name=name), timeout=TIMEOUT_S)

    assert ["two", "one"] == [each.name for each in (await _routing(stubs)).experiments]


async def test_weights_are_changed(stubs: Stubs) -> None:
    """Once: the same again throws no evidence away, and tells nobody."""
    await _create(stubs, two_arms(ramp=experiment_pb2.Ramp(steps=[0.1, 0.5])), start=True)
    request = pb.SetWeightsRequest(name="speed", weights={"live": 3, "fast": 1}, actor="anna", reason="slower")
    changed = (await stubs.experiments.SetWeights(request, timeout=TIMEOUT_S)).experiment
    first = await _routing(stubs)
    again = (await stubs.experiments.SetWeights(request, timeout=TIMEOUT_S)).experiment

    assert (2, [3, 1]) == (changed.epoch, [arm.weight for arm in changed.arms])
    assert changed == again
    assert first.revision == (await _routing(stubs)).revision
    assert 3 == len(await _log(stubs))
    assert {"weights": {"live": 3, "fast": 1}} == json.loads((await _log(stubs))[0].facts_json)


@pytest.mark.parametrize("made", [two_arms("trial"), shadowed("trial")], ids=["arms", "shadow"])
async def test_evidence_begins_anew(stubs: Stubs, made: experiment_pb2.Experiment) -> None:
    """As it is, without a word of weights: gateways hear of the new epoch."""
    await _create(stubs, made, start=True)
    request = pb.SetWeightsRequest(name="trial", anew=True, actor="anna", reason="mended")
    changed = (await stubs.experiments.SetWeights(request, timeout=TIMEOUT_S)).experiment

    assert (2, [1] * len(made.arms)) == (changed.epoch, [arm.weight for arm in changed.arms])
    assert [2] == [each.epoch for each in (await _routing(stubs)).experiments]
    assert ("weights", "anna", "mended") == ((log := (await _log(stubs))[0]).action, log.actor, log.reason)


async def test_a_promotion_pins_the_version(stubs: Stubs) -> None:
    """Of a shadow, too."""
    await _create(stubs, shadowed(), start=True)
    request = pb.PromoteArmRequest(name="gaze", arm="int8", actor="anna", reason="same answers")
    promoted = (await stubs.experiments.PromoteArm(request, timeout=TIMEOUT_S)).experiment
    routing = await _routing(stubs)

    assert experiment_pb2.EXPERIMENT_STATE_CONCLUDED == promoted.state
    assert promoted.HasField("end_time")
    assert ({"cats": "2"}, []) == (dict(routing.pins), list(routing.experiments))


async def test_a_pin_is_set_and_taken_back(stubs: Stubs) -> None:
    """Each once, however often it is asked for."""
    for version in ("2", "2", "", ""):
        request = pb.PinVersionRequest(model="cats", version=version, actor="anna", reason="try")
        await stubs.experiments.PinVersion(request, timeout=TIMEOUT_S)
        assert ({"cats": version} if version else {}) == dict((await _routing(stubs)).pins)

    assert [("pin", "anna", "try"), ("unpin", "anna", "try")] == await _actions(stubs)


async def test_keys_are_held_out(stubs: Stubs) -> None:
    """With a salt that stays."""
    before = await _routing(stubs)
    for share in (0.1, 0.1, 0.0):
        await stubs.experiments.SetHoldout(pb.SetHoldoutRequest(share=share, actor="anna"), timeout=TIMEOUT_S)
        assert share == (await _routing(stubs)).holdout_share
    after = await _routing(stubs)

    assert before.holdout_salt
    assert before.holdout_salt == after.holdout_salt
    assert before.revision + 2 == after.revision
    assert ["holdout", "holdout"] == [action for action, *_ in await _actions(stubs)]


async def test_a_draft_is_thrown_away(stubs: Stubs) -> None:
    """And its name is free; what was done stays in the log."""
    await _create(stubs, two_arms())
    await stubs.experiments.DeleteExperiment(pb.DeleteExperimentRequest(name="speed", actor="anna"), timeout=TIMEOUT_S)
    await _create(stubs, shadowed("speed"))

    assert ["create", "delete", "create"] == [action for action, *_ in await _actions(stubs, "speed")]


async def test_experiments_are_listed_in_pages(stubs: Stubs) -> None:
    """The newest first, each once."""
    for number in range(5):
        await _create(stubs, two_arms(f"e{number}", layer=f"l{number}", model="cats" if number % 2 else "dogs"))
    await stubs.experiments.StartExperiment(pb.StartExperimentRequest(name="e3"), timeout=TIMEOUT_S)

    async def pages(**values: Any) -> list[list[str]]:
        found, token = [], ""
        while True:
            request = pb.ListExperimentsRequest(page_token=token, **values)
            page = await stubs.experiments.ListExperiments(request, timeout=TIMEOUT_S)
            found.append([each.name for each in page.experiments])
            token = page.next_page_token
            if not token:
                return found

    assert [["e4", "e3"], ["e2", "e1"], ["e0"]] == await pages(page_size=2)
    assert [["e4", "e3", "e2", "e1", "e0"]] == await pages(page_size=5)
    assert [["e3"], ["e1"]] == await pages(page_size=1, model="cats")
    assert [["e3"]] == await pages(running=True)


async def test_decisions_are_listed_in_pages(stubs: Stubs) -> None:
    """The newest first, each once."""
    for number in range(4):
        await stubs.experiments.SetHoldout(pb.SetHoldoutRequest(share=number / 10 + 0.1), timeout=TIMEOUT_S)
    first = await stubs.experiments.ListDecisions(pb.ListDecisionsRequest(page_size=3), timeout=TIMEOUT_S)
    request = pb.ListDecisionsRequest(page_size=3, page_token=first.next_page_token)
    second = await stubs.experiments.ListDecisions(request, timeout=TIMEOUT_S)

    shares = [json.loads(each.facts_json)["share"] for each in (*first.decisions, *second.decisions)]
    assert pytest.approx(shares) == [0.4, 0.3, 0.2, 0.1]
    assert (3, "") == (len(first.decisions), second.next_page_token)


async def test_nothing_is_known_of_a_draft(stubs: Stubs) -> None:
    """Each candidate and shadow has a verdict that says so."""
    await _create(stubs, two_arms(shadows=shadowed().shadows))
    response = await stubs.experiments.GetVerdicts(pb.GetVerdictsRequest(name="speed"), timeout=TIMEOUT_S)
    listed = await stubs.experiments.ListVerdicts(pb.ListVerdictsRequest(name="speed"), timeout=TIMEOUT_S)

    assert [
        ("fast", "go on", "Nothing is known of fast yet; go on."),
        ("int8", "go on", "Nothing is known of int8 yet; go on."),
    ] == [(each.candidate, each.advice, each.sentence) for each in response.verdicts]
    assert [] == list(listed.verdicts)


NONE = "MA"
"""Is no token of a page."""
REFUSED: list[tuple[str, str, str, str, Any]] = [
    ("GetExperiment", "NOT_FOUND", "EXPERIMENT_NOT_FOUND", "name", pb.GetExperimentRequest(name="nobody")),
    ("GetExperiment", "INVALID_ARGUMENT", "FIELD_MISSING", "name", pb.GetExperimentRequest()),
    ("GetExperiment", "INVALID_ARGUMENT", "FIELD_INVALID", "name", pb.GetExperimentRequest(name="\0")),
    (
        "CreateExperiment",
        "ALREADY_EXISTS",
        "EXPERIMENT_EXISTS",
        "experiment.name",
        pb.CreateExperimentRequest(experiment=two_arms("runs")),
    ),
    (
        "CreateExperiment",
        "FAILED_PRECONDITION",
        "EXPERIMENT_STATE",
        "name",
        pb.CreateExperimentRequest(experiment=two_arms("late"), start=True),
    ),
    (
        "CreateExperiment",
        "INVALID_ARGUMENT",
        "FIELD_INVALID",
        "actor",
        pb.CreateExperimentRequest(experiment=two_arms("x"), actor="rule"),
    ),
    (
        "CreateExperiment",
        "INVALID_ARGUMENT",
        "EXPERIMENT_WITHOUT_EFFECT",
        "experiment.arms",
        pb.CreateExperimentRequest(experiment=two_arms("x", arms=two_arms().arms[:1])),
    ),
    ("StartExperiment", "NOT_FOUND", "EXPERIMENT_NOT_FOUND", "name", pb.StartExperimentRequest(name="nobody")),
    ("StartExperiment", "FAILED_PRECONDITION", "EXPERIMENT_STATE", "name", pb.StartExperimentRequest(name="runs")),
    ("StartExperiment", "FAILED_PRECONDITION", "EXPERIMENT_STATE", "name", pb.StartExperimentRequest(name="waits")),
    (
        "StartExperiment",
        "INVALID_ARGUMENT",
        "FIELD_INVALID",
        "actor",
        pb.StartExperimentRequest(name="waits", actor="a" * 101),
    ),
    (
        "StartExperiment",
        "INVALID_ARGUMENT",
        "FIELD_INVALID",
        "reason",
        pb.StartExperimentRequest(name="waits", reason="r" * 501),
    ),
    (
        "SetWeights",
        "FAILED_PRECONDITION",
        "EXPERIMENT_STATE",
        "name",
        pb.SetWeightsRequest(name="waits", weights={"live": 1, "fast": 2}),
    ),
    (
        "SetWeights",
        "INVALID_ARGUMENT",
        "FIELD_INVALID",
        "weights",
        pb.SetWeightsRequest(name="runs", weights={"live": 1}),
    ),
    ("StopExperiment", "FAILED_PRECONDITION", "EXPERIMENT_STATE", "name", pb.StopExperimentRequest(name="waits")),
    (
        "PromoteArm",
        "FAILED_PRECONDITION",
        "EXPERIMENT_STATE",
        "name",
        pb.PromoteArmRequest(name="waits", arm="fast"),
    ),
    ("PromoteArm", "INVALID_ARGUMENT", "FIELD_INVALID", "arm", pb.PromoteArmRequest(name="runs", arm="slow")),
    ("PromoteArm", "INVALID_ARGUMENT", "FIELD_MISSING", "arm", pb.PromoteArmRequest(name="runs")),
    ("DeleteExperiment", "FAILED_PRECONDITION", "EXPERIMENT_STATE", "name", pb.DeleteExperimentRequest(name="runs")),
    ("DeleteExperiment", "NOT_FOUND", "EXPERIMENT_NOT_FOUND", "name", pb.DeleteExperimentRequest(name="nobody")),
    ("GetVerdicts", "NOT_FOUND", "EXPERIMENT_NOT_FOUND", "name", pb.GetVerdictsRequest(name="nobody")),
    ("ListVerdicts", "NOT_FOUND", "EXPERIMENT_NOT_FOUND", "name", pb.ListVerdictsRequest(name="nobody")),
    (
        "ListVerdicts",
        "INVALID_ARGUMENT",
        "FIELD_INVALID",
        "after",
        pb.ListVerdictsRequest(name="runs", after={"seconds": 1 << 62}),
    ),
    ("ListExperiments", "INVALID_ARGUMENT", "FIELD_INVALID", "page_size", pb.ListExperimentsRequest(page_size=1001)),
    (
        "ListExperiments",
        "INVALID_ARGUMENT",
        "FIELD_INVALID",
        "page_token",
        pb.ListExperimentsRequest(page_token=NONE),
    ),
    ("ListExperiments", "INVALID_ARGUMENT", "FIELD_INVALID", "model", pb.ListExperimentsRequest(model="\0")),
    ("ListDecisions", "INVALID_ARGUMENT", "FIELD_INVALID", "page_size", pb.ListDecisionsRequest(page_size=-1)),
    ("ListDecisions", "INVALID_ARGUMENT", "FIELD_INVALID", "page_token", pb.ListDecisionsRequest(page_token=NONE)),
    ("PinVersion", "INVALID_ARGUMENT", "FIELD_INVALID", "model", pb.PinVersionRequest(version="2")),
    ("PinVersion", "INVALID_ARGUMENT", "FIELD_INVALID", "version", pb.PinVersionRequest(model="cats", version="two")),
    ("SetHoldout", "INVALID_ARGUMENT", "FIELD_INVALID", "share", pb.SetHoldoutRequest(share=1.5)),
    ("SetHoldout", "INVALID_ARGUMENT", "FIELD_INVALID", "share", pb.SetHoldoutRequest(share=float("nan"))),
]


async def test_what_cannot_be_done_is_refused(stubs: Stubs) -> None:
    """With code, reason and field; and it leaves nothing behind."""
    await _create(stubs, two_arms("runs"), start=True)
    await _create(stubs, two_arms("waits"))
    before = await _routing(stubs), await _log(stubs)

    for method, code, reason, field, request in REFUSED:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(stubs.experiments, method)(request, timeout=TIMEOUT_S)
        told = caught.value
        assert (method, code, reason, field) == (method, told.code().name, reason_of(told), field_of(told))

    assert before == (await _routing(stubs), await _log(stubs))


async def test_a_poller_sees_each_change_within_two_seconds(stubs: Stubs) -> None:
    """Asking once a second, as gateways do; here more often, since what counts is what one question more tells."""
    changes: list[Callable[[], Any]] = [
        lambda: _create(stubs, two_arms(), start=True),
        lambda: stubs.experiments.SetWeights(
            pb.SetWeightsRequest(name="speed", weights={"live": 9, "fast": 1}), timeout=TIMEOUT_S
        ),
        lambda: stubs.experiments.StopExperiment(pb.StopExperimentRequest(name="speed"), timeout=TIMEOUT_S),
        lambda: stubs.experiments.PinVersion(pb.PinVersionRequest(model="cats", version="2"), timeout=TIMEOUT_S),
        lambda: stubs.experiments.SetHoldout(pb.SetHoldoutRequest(share=0.5), timeout=TIMEOUT_S),
    ]
    known = (await _routing(stubs)).revision
    for change in changes:
        await change()
        told = await _routing(stubs, known)
        assert told.holdout_salt, "the first question after a change is answered in full"
        known = told.revision


async def test_changes_at_the_same_time_follow_each_other(stubs: Stubs) -> None:
    """Of twenty that want one slot, one gets it; the log is in one order."""
    names = [f"e{number}" for number in range(20)]
    await asyncio.gather(*(_create(stubs, two_arms(name)) for name in names))
    starts = [
        stubs.experiments.StartExperiment(pb.StartExperimentRequest(name=name), timeout=TIMEOUT_S) for name in names
    ]
    outcomes = await asyncio.gather(*starts, return_exceptions=True)

    assert 1 == sum(not isinstance(outcome, BaseException) for outcome in outcomes)
    assert 1 == len((await _routing(stubs)).experiments)
    assert 21 == len(await _log(stubs))


async def test_all_is_as_it_was_after_a_restart(tmp_path: Path, database_url: str) -> None:
    """Experiments, pins, holdout, log and revision."""

    async def everything(stubs: Stubs) -> tuple[Any, ...]:
        return await _get(stubs, "speed"), await _log(stubs), await _routing(stubs)

    async with serving(tmp_path, database_url) as stubs:
        await _create(stubs, two_arms(ramp=experiment_pb2.Ramp(steps=[0.1, 0.5])), start=True)
        await stubs.experiments.PinVersion(pb.PinVersionRequest(model="dogs", version="7"), timeout=TIMEOUT_S)
        await stubs.experiments.SetHoldout(pb.SetHoldoutRequest(share=0.05), timeout=TIMEOUT_S)
        before = await everything(stubs)
    async with serving(tmp_path, database_url) as stubs:
        assert before == await everything(stubs)


async def test_every_service_says_that_it_is_ready(stubs: Stubs) -> None:
    """Under each of the three names."""
    health = health_pb2_grpc.HealthStub(stubs.channel)
    for name in ("Experiment", "Feedback", "Evidence"):
        request = health_pb2.HealthCheckRequest(service=f"triptych.experiments.v1.{name}Service")
        assert health_pb2.HealthCheckResponse.SERVING == (await health.Check(request, timeout=TIMEOUT_S)).status
