"""What may become of an experiment, and when."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes.experiments import NOW_US, running, shadowed, two_arms

from servicekit.errors import FailedPrecondition, InvalidArgument
from services.experiments import transitions
from services.experiments.definitions import complete
from services.experiments.transitions import Deed
from triptych.experiments.v1 import experiment_pb2 as pb

DEED = Deed(NOW_US + 1_000_000, "stop", "anna", "enough")
RULE = replace(DEED, actor="rule")
ARMS = [pb.Arm(name=name, version=version, weight=1) for name, version in (("a", "1"), ("b", "2"), ("c", "3"))]


def _draft(definition: pb.Experiment) -> pb.Experiment:
    return transitions.created(complete(definition), "salt", DEED)


def test_a_draft_waits() -> None:
    """Nothing of it has begun."""
    draft = _draft(two_arms())

    assert (pb.EXPERIMENT_STATE_DRAFT, 0, "salt") == (draft.state, draft.epoch, draft.salt)
    assert not draft.HasField("start_time")
    assert "anna made it: enough" == draft.detail


def test_a_start_begins_an_epoch() -> None:
    """Of a ramp, the first step."""
    plain, ramping = running(two_arms()), running(two_arms(ramp=pb.Ramp(steps=[0.1])))

    assert (pb.EXPERIMENT_STATE_RUNNING, pb.EXPERIMENT_STATE_RAMPING) == (plain.state, ramping.state)
    assert (1, NOW_US, NOW_US) == (plain.epoch, plain.start_time.ToMicroseconds(), plain.epoch_time.ToMicroseconds())


@pytest.mark.parametrize(
    ("other", "free"),
    [
        ({"slot_begin": 0.5}, True),
        ({"slot_begin": 0.4, "slot_end": 0.6}, False),
        ({"slot_begin": 0.2, "slot_end": 0.3}, False),
        ({}, False),
        ({"layer": "b"}, True),
        ({"model": "dogs"}, True),
    ],
)
def test_slots_of_one_layer_and_model_share_no_key(other: dict[str, object], free: bool) -> None:
    """The end of one may be the beginning of the next."""
    first = running(two_arms("first", slot_end=0.5))
    second = _draft(two_arms("second", **other))
    if free:
        assert transitions.started(second, [first], DEED).state == pb.EXPERIMENT_STATE_RUNNING
    else:
        with pytest.raises(FailedPrecondition, match=r"'first' has the keys from 0 to 0\.5 of the layer ''"):
            transitions.started(second, [first], DEED)


ACME, BETA = pb.Audience(tenants=["acme"]), pb.Audience(tenants=["acme", "zoo"], headers={"x-app": "beta"})


@pytest.mark.parametrize(
    ("earlier", "audience", "left"),
    [
        ([{}], None, False),
        ([{"layer": "ui"}], None, True),  # the same layer: slots say who has which keys
        ([{"model": "dogs"}], None, True),
        ([{"slot_end": 0.5}], None, True),
        ([{"slot_end": 0.5}, {"slot_begin": 0.4}], ACME, False),
        ([{"slot_end": 0.5}, {"slot_begin": 0.5, "layer": "b"}], None, True),  # layers deal independently
        ([{"audience": ACME}], None, True),
        ([{"audience": ACME}], ACME, False),
        ([{"audience": ACME}], BETA, True),
        ([{"audience": BETA}], ACME, True),
        ([{"audience": pb.Audience(headers={"x-app": "beta"})}], BETA, False),
    ],
)
def test_no_experiment_starts_that_no_request_would_reach(
    earlier: list[dict[str, Any]], audience: pb.Audience | None, *, left: bool
) -> None:
    """A request takes part in the experiment that was started first."""
    others = [running(two_arms(f"e{number}", **values)) for number, values in enumerate(earlier)]
    draft = _draft(two_arms("late", layer="ui", audience=audience, slot_begin=0.5))
    if others[0].layer == "ui":
        others[0].slot_end = 0.5
    if left:
        assert pb.EXPERIMENT_STATE_RUNNING == transitions.started(draft, others, DEED).state
    else:
        with pytest.raises(FailedPrecondition, match="No request would reach 'late': 'e0'") as caught:
            transitions.started(draft, others, DEED)
        assert ("EXPERIMENT_WITHOUT_EFFECT", "name") == (caught.value.reason, caught.value.field)


def test_weights_begin_an_epoch_and_end_a_ramp() -> None:
    """What was counted before is about other parts."""
    ramping = running(two_arms(ramp=pb.Ramp(steps=[0.1, 0.5])))
    changed = transitions.reweighted(ramping, {"live": 3, "fast": 1}, DEED)

    assert (pb.EXPERIMENT_STATE_RUNNING, 2, [3, 1]) == (changed.state, changed.epoch, [a.weight for a in changed.arms])
    assert changed.epoch_time.ToMicroseconds() == DEED.time_us


def test_the_same_weights_change_nothing() -> None:
    """So that a retry throws no evidence away; a ramp ends all the same, and keeps its evidence."""
    experiment, ramping = running(two_arms()), running(two_arms(ramp=pb.Ramp(steps=[0.5])))
    ended = transitions.reweighted(ramping, {"live": 0.5, "fast": 0.5}, DEED)

    assert transitions.reweighted(experiment, {"live": 1, "fast": 1}, DEED) is experiment
    assert (pb.EXPERIMENT_STATE_RUNNING, 1) == (ended.state, ended.epoch)


def test_evidence_begins_anew_where_that_is_wanted() -> None:
    """With the same weights, too; with none, a step of the ramp is gone through again."""
    experiment, ramping = running(two_arms()), running(two_arms(ramp=pb.Ramp(steps=[0.5])))
    again = transitions.reweighted(experiment, {"live": 1, "fast": 1}, DEED, anew=True)
    renewed = transitions.renewed(ramping, DEED)

    assert (2, [1, 1], DEED.time_us) == (again.epoch, [a.weight for a in again.arms], again.epoch_time.ToMicroseconds())
    assert (pb.EXPERIMENT_STATE_RAMPING, 2, [0.5, 0.5]) == (
        renewed.state,
        renewed.epoch,
        [a.weight for a in renewed.arms],
    )
    assert "anna began its evidence anew: enough" == renewed.detail
    with pytest.raises(FailedPrecondition, match="only evidence of one that runs"):
        transitions.renewed(_draft(two_arms()), DEED)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"live": 1.0}, "fast is missing"),
        ({"live": 1.0, "fast": 1.0, "slow": 1.0}, "has no arm 'slow'; it has live, fast"),
        ({"live": 1.0, "fast": 0.0}, r"weights\[fast\] must be above 0"),
        ({"live": 1.0, "fast": float("nan")}, r"weights\[fast\] must be above 0"),
        ({"live": 1e6, "fast": 1.0}, r"weights\[fast\] must be at least 0\.001 of the sum"),
    ],
)
def test_wrong_weights_are_refused(weights: dict[str, float], says: str) -> None:
    """Each arm has one, and nobody else."""
    with pytest.raises(InvalidArgument, match=says):
        transitions.reweighted(running(two_arms()), weights, DEED)


def test_the_weight_of_the_only_arm_changes_nothing() -> None:
    """It answers everybody."""
    with pytest.raises(InvalidArgument) as caught:
        transitions.reweighted(running(shadowed()), {"live": 2}, DEED)

    assert "EXPERIMENT_WITHOUT_EFFECT" == caught.value.reason


def test_a_stop_says_who_and_why() -> None:
    """And when."""
    stopped = transitions.stopped(running(two_arms()), DEED)

    assert (pb.EXPERIMENT_STATE_STOPPED, "anna stopped it: enough") == (stopped.state, stopped.detail)
    assert DEED.time_us == stopped.end_time.ToMicroseconds()


def test_an_arm_of_a_stopped_experiment_can_be_promoted() -> None:
    """It has ended when it was stopped."""
    stopped = transitions.stopped(running(two_arms()), DEED)
    concluded = transitions.promoted(stopped, "fast", replace(DEED, time_us=DEED.time_us + 1))

    assert (pb.EXPERIMENT_STATE_CONCLUDED, DEED.time_us) == (concluded.state, concluded.end_time.ToMicroseconds())
    assert "2" == transitions.version_of(concluded, "fast")


def test_only_what_there_is_can_be_promoted() -> None:
    """An arm, or a shadow."""
    with pytest.raises(InvalidArgument, match="has no arm or shadow 'slow'; it has live, int8"):
        transitions.promoted(running(shadowed()), "slow", DEED)


ENDED = [
    transitions.promoted(running(two_arms()), "fast", DEED),
    transitions.stopped(running(two_arms()), DEED),
]
CHANGES: dict[str, Callable[[pb.Experiment], pb.Experiment]] = {
    "start": lambda experiment: transitions.started(experiment, [], DEED),
    "weights": lambda experiment: transitions.reweighted(experiment, {"live": 1, "fast": 2}, DEED),
    "stop": lambda experiment: transitions.stopped(experiment, DEED),
    "promote": lambda experiment: transitions.promoted(experiment, "fast", DEED),
}


@pytest.mark.parametrize(
    ("change", "experiment"),
    [
        ("start", running(two_arms())),
        ("start", ENDED[0]),
        ("start", ENDED[1]),
        ("weights", _draft(two_arms())),
        ("weights", ENDED[0]),
        ("weights", ENDED[1]),
        ("stop", _draft(two_arms())),
        ("stop", ENDED[0]),
        ("stop", ENDED[1]),
        ("promote", _draft(two_arms())),
        ("promote", ENDED[0]),
    ],
)
def test_what_does_not_fit_the_state_is_refused(change: str, experiment: pb.Experiment) -> None:
    """And the sentence says in which it is."""
    with pytest.raises(FailedPrecondition, match=f"'speed' is {transitions.state_name(experiment.state)}; only"):
        CHANGES[change](experiment)


def test_the_only_candidate_that_is_rolled_back_ends_the_experiment() -> None:
    """Its weights go on telling what happened; shadows alone keep nothing going that has candidates."""
    rolled = transitions.rolled_back(running(two_arms(shadows=shadowed().shadows)), ["fast"], RULE)

    assert (pb.EXPERIMENT_STATE_STOPPED, 1, [1, 1]) == (rolled.state, rolled.epoch, [arm.weight for arm in rolled.arms])
    assert "enough" == rolled.detail


def test_one_of_several_candidates_that_is_rolled_back_gets_no_keys() -> None:
    """The others begin anew, and gateways hear of it no more; a person may bring it back."""
    rolled = transitions.rolled_back(running(two_arms(arms=ARMS)), ["b"], RULE)
    told = transitions.shown(rolled)
    back = transitions.reweighted(rolled, {"a": 1, "b": 1, "c": 1}, DEED)

    assert (pb.EXPERIMENT_STATE_RUNNING, 2, [1, 0, 1]) == (rolled.state, rolled.epoch, [a.weight for a in rolled.arms])
    assert ["a", "c"] == [arm.name for arm in told.arms]
    assert (3, [1, 1, 1]) == (back.epoch, [arm.weight for arm in back.arms])
    assert transitions.reweighted(rolled, {"a": 1, "c": 1}, DEED) is rolled


def test_a_shadow_that_is_rolled_back_is_not_asked_any_more() -> None:
    """What was counted of others stays; the last one ends the experiment."""
    two = shadowed(shadows=[pb.Shadow(name=name, version="2", share=1) for name in ("x", "y")])
    rolled = transitions.rolled_back(running(two), ["x"], RULE)

    assert (1, ["y"]) == (rolled.epoch, [shadow.name for shadow in transitions.shown(rolled).shadows])
    assert pb.EXPERIMENT_STATE_STOPPED == transitions.rolled_back(rolled, ["y"], RULE).state


def test_a_ramp_goes_up_and_ends() -> None:
    """With each step evidence begins anew; after the last one the weights stay."""
    first = running(two_arms(ramp=pb.Ramp(steps=[0.1, 0.5])))
    second = transitions.ramped(first, RULE)
    last = transitions.ramped(second, RULE)

    assert (pb.EXPERIMENT_STATE_RAMPING, 2, 1, 0.5) == (second.state, second.epoch, second.step, second.arms[1].weight)
    assert (pb.EXPERIMENT_STATE_RUNNING, 2, 1, 0.5) == (last.state, last.epoch, last.step, last.arms[1].weight)
