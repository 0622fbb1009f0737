"""What rules do about what is said."""

import math
from typing import Any

import pytest
from fakes.experiments import NOW_US, running, shadowed, two_arms

from services.experiments.candidates import rules_for
from services.experiments.decisions import Action, Judged, Kind, decide
from services.experiments.evalues import Rate
from services.experiments.findings import Finding
from services.experiments.transitions import Deed, ramped, rolled_back
from services.experiments.verdicts import Advice, Facts, Verdict
from triptych.experiments.v1 import experiment_pb2 as pb

SECOND_US = 1_000_000
ARMS = [pb.Arm(name=name, version=version, weight=1) for name, version in (("a", "1"), ("b", "2"), ("c", "3"))]
AUTO = pb.Rules(auto_promote=True)


def _judged(name: str, advice: Advice, *, keys: int = 0, gain: float = 0.0) -> Judged:
    facts = Facts(failed=(Rate(0, keys), Rate(0, keys)))
    return Judged(name, facts, Verdict(advice, f"{name}: {advice}.", (Finding("accuracy", gain, (0, 0), 9, "open"),)))  # type: ignore[arg-type]


def _decide(experiment: pb.Experiment, *judged: Judged, after_s: float = 0.0, repaired: bool = False) -> Action | None:
    return decide(experiment, judged, NOW_US + round(after_s * SECOND_US), repaired=repaired)


def _told(action: Action | None) -> tuple[str, ...]:
    return (action.kind, *action.names) if action is not None else ()


def test_nothing_is_done_about_nothing() -> None:
    """Go on."""
    assert _decide(running(two_arms()), _judged("fast", Advice.GO_ON)) is None


def test_all_that_are_bad_are_rolled_back_together() -> None:
    """Since evidence begins anew with the first."""
    judged = _judged("b", Advice.ROLL_BACK), _judged("c", Advice.ROLL_BACK)
    action = _decide(running(two_arms(arms=ARMS)), *judged)

    assert (Kind.ROLL_BACK, "b", "c") == _told(action)
    assert action is not None
    assert "b: roll back. c: roll back." == action.reason


def test_bad_before_good() -> None:
    """Also where another one could be promoted."""
    judged = _judged("b", Advice.PROMOTE), _judged("c", Advice.ROLL_BACK)
    assert (Kind.ROLL_BACK, "c") == _told(_decide(running(two_arms(arms=ARMS, rules=AUTO)), *judged))


@pytest.mark.parametrize("ramp", [None, pb.Ramp(steps=[0.1], hold_s=1, min_keys=1)], ids=["plain", "ramping"])
def test_an_experiment_ends_with_its_time(ramp: pb.Ramp | None) -> None:
    """Not before, and neither by a roll-back nor by a promotion; what is known by then is told of everybody."""
    experiment = running(two_arms(rules=pb.Rules(stop_after_s=60), ramp=ramp, shadows=shadowed().shadows))
    judged = _judged("fast", Advice.PROMOTE), _judged("int8", Advice.REPAIR)
    action = _decide(experiment, *judged, after_s=60)

    assert Kind.STOP not in _told(_decide(experiment, *judged, after_s=59.9, repaired=True))
    assert (Kind.STOP, "fast", "int8") == _told(action)
    assert action is not None
    assert "It has run for 60 s, its time. fast: promote. int8: repair." == action.reason


def test_who_would_be_rolled_back_or_promoted_in_the_end_still_is() -> None:
    """The end is no way out."""
    experiment = running(two_arms(rules=pb.Rules(stop_after_s=60, auto_promote=True)))

    assert (Kind.ROLL_BACK, "fast") == _told(_decide(experiment, _judged("fast", Advice.ROLL_BACK), after_s=99))
    assert (Kind.PROMOTE, "fast") == _told(_decide(experiment, _judged("fast", Advice.PROMOTE), after_s=99))


def test_who_must_not_be_rolled_back_stays() -> None:
    """Until somebody stops it; and gets no more keys."""
    rules, ramp = pb.Rules(no_rollback=True), pb.Ramp(steps=[0.1, 0.2], hold_s=1, min_keys=1)
    bad = _judged("fast", Advice.ROLL_BACK, keys=1000)

    assert _decide(running(two_arms(rules=rules)), bad) is None
    assert _decide(running(two_arms(rules=rules, ramp=ramp)), bad, after_s=9) is None


def test_a_broken_dealing_is_told_once() -> None:
    """Of an epoch."""
    experiment, broken = running(two_arms()), _judged("fast", Advice.REPAIR)

    assert (Kind.REPAIR, "fast") == _told(_decide(experiment, broken))
    assert _decide(experiment, broken, repaired=True) is None


@pytest.mark.parametrize(
    ("definition", "promoted"),
    [
        (two_arms(), ()),
        (two_arms(rules=AUTO), (Kind.PROMOTE, "fast")),
        (two_arms(rules=AUTO, ramp=pb.Ramp(steps=[0.1])), ()),
    ],
)
def test_a_good_candidate_is_promoted_where_nobody_need_be_asked(definition: pb.Experiment, promoted: Any) -> None:
    """Not before its ramp has ended."""
    assert promoted == _told(_decide(running(definition), _judged("fast", Advice.PROMOTE)))


def test_the_best_of_several_is_promoted() -> None:
    """By accuracy."""
    judged = _judged("b", Advice.PROMOTE, gain=0.01), _judged("c", Advice.PROMOTE, gain=0.02)
    assert (Kind.PROMOTE, "c") == _told(_decide(running(two_arms(arms=ARMS, rules=AUTO)), *judged))


def test_a_shadow_is_promoted_where_it_is_alone() -> None:
    """Beside candidates it is only looked at."""
    good = _judged("int8", Advice.PROMOTE)
    both = two_arms(rules=AUTO, shadows=shadowed().shadows)

    assert (Kind.PROMOTE, "int8") == _told(_decide(running(shadowed(rules=AUTO)), good))
    assert _decide(running(both), _judged("fast", Advice.GO_ON), good) is None


RAMP = pb.Ramp(steps=[0.1, 0.25], hold_s=60, min_keys=50)


@pytest.mark.parametrize(
    ("after_s", "keys", "advice", "grows"),
    [
        (60, 50, Advice.GO_ON, True),
        (60, 50, Advice.PROMOTE, True),
        (59, 50, Advice.GO_ON, False),
        (60, 49, Advice.GO_ON, False),
        (60, 50, Advice.REPAIR, False),
    ],
)
def test_a_ramp_waits_for_time_and_keys(after_s: float, keys: int, advice: Advice, grows: bool) -> None:
    """And for nothing to speak against it."""
    experiment = running(two_arms(ramp=RAMP))
    action = _decide(experiment, _judged("fast", advice, keys=keys), after_s=after_s, repaired=True)

    assert grows == (_told(action) == (Kind.RAMP, "fast"))


def test_a_step_says_what_it_rests_on() -> None:
    """The last one that it was the last."""
    first = running(two_arms(ramp=RAMP))
    second = ramped(first, Deed(NOW_US, "ramp", "rule"))
    told = [_decide(each, _judged("fast", Advice.GO_ON, keys=1234), after_s=61) for each in (first, second)]

    assert [
        "fast gets 25% of the keys, step 2 of 2: nothing spoke against 10% in 61 s and 1,234 keys.",
        "fast has had every step of the ramp, and keeps 25% of the keys: nothing spoke against 25% in 61 s and 1,234 "
        "keys.",
    ] == [each.reason for each in told if each]


def test_epochs_and_candidates_share_alpha() -> None:
    """However many epochs there will be, their parts are alpha together; who was rolled back keeps a part."""
    experiment = running(two_arms(arms=ARMS))
    rolled = rolled_back(experiment, ["b"], Deed(NOW_US, "roll back", "rule"))

    rules = [rules_for(each, "c") for each in (experiment, rolled)]
    assert [(0.025, 2), (0.05 / 6, 2)] == [(each.alpha, each.candidates) for each in rules]
    assert [math.log(2 / 0.0005), math.log(2 * 6 / 0.001)] == pytest.approx([each.mismatch_limit for each in rules])
    assert sum(0.05 / (epoch * (epoch + 1)) for epoch in range(1, 10_000)) < 0.05


def test_the_rules_of_a_candidate_are_the_experiments() -> None:
    """A shadow's, too, by weights of its own."""
    rules = pb.Rules(slow_margin=0.1, failed_margin=0.2, accuracy_margin=0.3, promote_no_worse=True)
    experiment = running(two_arms(rules=rules, shadows=shadowed().shadows))
    experiment.arms[1].weight = 3
    arm, shadow = rules_for(experiment, "fast"), rules_for(experiment, "int8")

    assert ((1, 3), 0.1, 0.2, 0.3) == (arm.weights, arm.slow_margin, arm.failed_margin, arm.accuracy_margin)
    assert {"better", "no worse"} == arm.promote
    assert ((1, 1), 0.2, 0.3) == (shadow.weights, shadow.failed_margin, shadow.accuracy_margin)
