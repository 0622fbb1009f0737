"""Who gets which arm."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gateway.routing import Arm, Asker, Audience, Experiment, Holdout, Shadow, assign, draw, unit

OLD, NEW, THIRD = Arm("control", "1", 1.0), Arm("candidate", "2", 1.0), Arm("other", "3", 1.0)
EXPERIMENT = Experiment("speed", "cats", "s1", (OLD, NEW))
NOBODY = Holdout("", 0.0)
KEYS = [f"user-{number}" for number in range(20_000)]


def _arm(experiment: Experiment, key: str, model: str = "cats") -> str:
    decided = assign([experiment], model, Asker(key, key), NOBODY)
    return decided.arm.name if decided else ""


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (99, 1), (5, 3, 2)])
def test_arms_get_their_share(weights: tuple[int, ...]) -> None:
    """Within three standard deviations of each arm's binomial."""
    arms = tuple(Arm(f"arm{place}", str(place), weight) for place, weight in enumerate(weights))
    counted = Counter(draw(arms, "salt", key).name for key in KEYS)
    for arm in arms:
        share = arm.weight / sum(weights)
        deviation = (len(KEYS) * share * (1 - share)) ** 0.5
        assert abs(counted[arm.name] - len(KEYS) * share) <= 3 * deviation


@given(st.text(), st.text())
def test_the_same_key_gets_the_same_arm(key: str, request: str) -> None:
    """Whatever the request."""
    first, second = (assign([EXPERIMENT], "cats", Asker(key, each), NOBODY) for each in (request, "another"))
    assert first == second is not None


def test_only_the_least_moves_when_weights_change() -> None:
    """From one half to six tenths: a tenth of the keys moves, all in one direction, and no other arm's."""
    before = (OLD, NEW, THIRD)
    after = (replace(OLD, weight=1.0), replace(NEW, weight=2.0), replace(THIRD, weight=1.0))
    moves = Counter((draw(before, "s", key).name, draw(after, "s", key).name) for key in KEYS)
    moved = {pair: count for pair, count in moves.items() if pair[0] != pair[1]}
    assert {pair[1] for pair in moved} == {"candidate"}
    expected = len(KEYS) * (2 / 4 - 1 / 3)
    assert abs(sum(moved.values()) - expected) < 4 * expected**0.5


@pytest.mark.parametrize("other", [replace(EXPERIMENT, salt="s2"), replace(EXPERIMENT, name="another")])
def test_another_salt_or_name_deals_anew(other: Experiment) -> None:
    """Arms of both are independent: a chi-squared test of their table."""
    table = Counter((_arm(EXPERIMENT, key), _arm(other, key)) for key in KEYS)
    names = ("control", "candidate")
    assert stats.chi2_contingency([[table[one, two] for two in names] for one in names]).pvalue > 1e-3


def test_slots_of_a_layer_share_no_key_and_layers_are_independent() -> None:
    """Half of the keys each, and in another layer half of both."""
    first, second = (
        replace(EXPERIMENT, name=name, layer="a", slot=slot)
        for name, slot in (("first", (0.0, 0.5)), ("second", (0.5, 1.0)))
    )
    third = replace(EXPERIMENT, layer="b", slot=(0.0, 0.5))
    taking = {each.name + each.layer: {key for key in KEYS if _arm(each, key)} for each in (first, second, third)}
    assert not taking["firsta"] & taking["seconda"]
    assert taking["firsta"] | taking["seconda"] == set(KEYS)
    assert len(taking["firsta"] & taking["speedb"]) == pytest.approx(len(KEYS) / 4, rel=0.05)


def test_whoever_is_held_out_takes_part_in_nothing() -> None:
    """The same keys for every experiment."""
    held = Holdout("h", 0.1)
    out = {key for key in KEYS if assign([EXPERIMENT], "cats", Asker(key, key), held) is None}
    assert out == {key for key in KEYS if unit("h", key) < 0.1}
    assert len(out) == pytest.approx(2000, rel=0.1)


@pytest.mark.parametrize(
    ("audience", "asker", "takes"),
    [
        (Audience(), Asker("k", "r"), True),
        (Audience(tenants=frozenset({"shop"})), Asker("k", "r", tenant="shop"), True),
        (Audience(tenants=frozenset({"shop"})), Asker("k", "r", tenant="zoo"), False),
        (Audience(headers=(("x-app", "ios"),)), Asker("k", "r", headers={"x-app": "ios", "x": "y"}), True),
        (Audience(headers=(("x-app", "ios"),)), Asker("k", "r", headers={"x-app": "web"}), False),
        (Audience(headers=(("x-app", "ios"), ("x-beta", "1"))), Asker("k", "r", headers={"x-app": "ios"}), False),
    ],
)
def test_an_audience_is_asked_for(audience: Audience, asker: Asker, takes: bool) -> None:
    """Tenants are alternatives, headers must all be right."""
    decided = assign([replace(EXPERIMENT, audience=audience)], "cats", asker, NOBODY)
    assert (decided is not None) == takes


def test_another_model_takes_no_part() -> None:
    """Nor does anybody where there is no experiment."""
    assert _arm(EXPERIMENT, "k", model="dogs") == ""
    assert assign([], "cats", Asker("k", "r"), NOBODY) is None


def test_shadows_are_sampled_by_request() -> None:
    """One key's requests are seen as often as the share says, whatever arm answers."""
    shadows = (Shadow("all", "2", 1.0), Shadow("some", "3", 0.25))
    experiment = replace(EXPERIMENT, arms=(OLD,), shadows=shadows)
    seen: Counter[str] = Counter()
    for request in KEYS:
        decided = assign([experiment], "cats", Asker("one", request), NOBODY)
        assert decided is not None
        seen.update(shadow.name for shadow in decided.shadows)
    assert seen["all"] == len(KEYS)
    assert seen["some"] == pytest.approx(len(KEYS) / 4, rel=0.05)
