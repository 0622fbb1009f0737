"""What an experiment may look like."""

from typing import Any

import pytest
from fakes.experiments import shadowed, two_arms

from servicekit.errors import InvalidArgument
from services.experiments.definitions import complete
from triptych.experiments.v1 import experiment_pb2 as pb

NAN = float("nan")


def _arms(*versions: str, **values: Any) -> list[pb.Arm]:
    """Returns arms `a`, `b`, and so on."""
    names = "abcdefghijk"
    return [
        pb.Arm(**{"name": name, "version": version, "weight": 1, **values})
        for name, version in zip(names, versions, strict=False)
    ]


def _shadows(*versions: str, **values: Any) -> list[pb.Shadow]:
    names = "opqrstuvwxy"
    return [
        pb.Shadow(**{"name": name, "version": version, "share": 1, **values})
        for name, version in zip(names, versions, strict=False)
    ]


def test_what_is_not_said_is_the_default() -> None:
    """Whoever reads an experiment reads the rules that hold, and the slot."""
    made = complete(two_arms())

    assert pb.Rules(alpha=0.05, accuracy_margin=0.01, slow_margin=0.02, failed_margin=0.002, slow_ms=100) == made.rules
    assert (0, 1) == (made.slot_begin, made.slot_end)
    assert not made.HasField("ramp")


def test_what_is_said_holds() -> None:
    """Also where it is 0."""
    made = complete(two_arms(rules=pb.Rules(alpha=0.1, slow_margin=0, auto_promote=True), slot_begin=0.5))

    assert (0.1, 0, 0.01, True) == (
        made.rules.alpha,
        made.rules.slow_margin,
        made.rules.accuracy_margin,
        made.rules.auto_promote,
    )
    assert (0.5, 1) == (made.slot_begin, made.slot_end)


def test_a_ramp_says_the_weights() -> None:
    """The first step does."""
    made = complete(two_arms(ramp=pb.Ramp(steps=[0.05, 0.5])))

    assert [0.95, 0.05] == [arm.weight for arm in made.arms]
    assert (600, 100) == (made.ramp.hold_s, made.ramp.min_keys)


def test_of_a_shadow_nothing_is_asked_that_nobody_waits_for() -> None:
    """What holds for it can be made an experiment of again."""
    made = complete(shadowed())

    assert pb.Rules(alpha=0.05, accuracy_margin=0.01, failed_margin=0.002) == made.rules
    assert made.rules == complete(shadowed(rules=made.rules)).rules


def test_empty_lists_mean_everybody() -> None:
    """An audience that names nobody leaves nobody out."""
    assert not complete(two_arms(audience=pb.Audience())).audience.tenants


GOOD: list[pb.Experiment] = [
    two_arms("a" + "-_9" * 20 + "xy", layer="x" * 63, description="d" * 500 + ""),
    two_arms(arms=_arms(*"12345678"), shadows=_shadows(*"12345678")),
    two_arms(arms=_arms("1", "1")),
    two_arms(arms=_arms("1", "2", weight=1e6)),
    two_arms(arms=[*_arms("1", weight=999), *_arms("1", "2")[1:]]),
    two_arms(ramp=pb.Ramp(steps=[0.001, 0.999])),
    two_arms(rules=pb.Rules(alpha=0.5, accuracy_margin=1, slow_margin=1, failed_margin=0, slow_ms=0.1)),
    two_arms(ramp=pb.Ramp(steps=[i / 17 for i in range(1, 17)], hold_s=2_592_000, min_keys=1)),
    two_arms(ramp=pb.Ramp(steps=[0.5], hold_s=1), shadows=_shadows("3")),
    two_arms(audience=pb.Audience(tenants=["zoo"], headers={f"x-{n}": "1" for n in range(8)})),
    shadowed(rules=pb.Rules(auto_promote=True)),
    shadowed(shadows=_shadows("1", share=1e-9)),
]


@pytest.mark.parametrize("definition", GOOD)
def test_everything_within_the_limits_is_taken(definition: pb.Experiment) -> None:
    """Up to the limits themselves."""
    assert definition.name == complete(definition).name


BAD: list[tuple[str, dict[str, Any]]] = [
    ("experiment.name", {"name": ""}),
    ("experiment.name", {"name": "Speed"}),
    ("experiment.name", {"name": "9"}),
    ("experiment.name", {"name": "a" * 64}),
    ("experiment.model", {"model": ""}),
    ("experiment.model", {"model": "m" * 129}),
    ("experiment.model", {"model": "\0"}),
    ("experiment.description", {"description": "d" * 501}),
    ("experiment.description", {"description": "\0"}),
    ("experiment.arms", {"arms": []}),
    ("experiment.arms", {"arms": _arms(*"123456789")}),
    ("experiment.arms", {"arms": _arms("1", "2", name="a")}),
    ("experiment.arms", {"arms": _arms("1", "2"), "shadows": _shadows("3", name="b")}),
    ("experiment.arms[0].name", {"arms": _arms("1", "2", name="A")[:1]}),
    ("experiment.arms[1].version", {"arms": _arms("1", "two")}),
    ("experiment.arms[1].version", {"arms": _arms("1", "0")}),
    ("experiment.arms[1].version", {"arms": _arms("1", "")}),
    ("experiment.arms[0].weight", {"arms": _arms("1", "2", weight=0)}),
    ("experiment.arms[0].weight", {"arms": _arms("1", "2", weight=1.1e6)}),
    ("experiment.arms[0].weight", {"arms": _arms("1", "2", weight=NAN)}),
    ("experiment.arms[1].weight", {"arms": [*_arms("1", weight=1e6), *_arms("1", "2", weight=1e-6)[1:]]}),
    ("experiment.arms[0].weight", {"arms": [*_arms("1", weight=0.9), *_arms("1", "2", weight=999.1)[1:]]}),
    ("experiment.shadows", {"shadows": _shadows(*"123456789")}),
    ("experiment.shadows[0].name", {"shadows": _shadows("3", name="")}),
    ("experiment.shadows[0].version", {"shadows": _shadows("v3")}),
    ("experiment.shadows[0].share", {"shadows": _shadows("3", share=0)}),
    ("experiment.shadows[0].share", {"shadows": _shadows("3", share=1.01)}),
    ("experiment.shadows[0].share", {"shadows": _shadows("3", share=NAN)}),
    ("experiment.audience.tenants", {"audience": pb.Audience(tenants=["t"] * 1001)}),
    ("experiment.audience.tenants[0]", {"audience": pb.Audience(tenants=["t" * 129])}),
    ("experiment.audience.headers", {"audience": pb.Audience(headers={f"x-{n}": "1" for n in range(9)})}),
    ("experiment.audience.headers", {"audience": pb.Audience(headers={"X-Beta": "1"})}),
    ("experiment.audience.headers", {"audience": pb.Audience(headers={"x-bytes-bin": "1"})}),
    ("experiment.audience.headers[x]", {"audience": pb.Audience(headers={"x": "v" * 257})}),
    ("experiment.layer", {"layer": "x" * 64}),
    ("experiment.slot_begin", {"slot_begin": -0.1}),
    ("experiment.slot_begin", {"slot_begin": NAN}),
    ("experiment.slot_end", {"slot_end": 1.1}),
    ("experiment.slot_end", {"slot_end": NAN}),
    ("experiment.rules.alpha", {"rules": pb.Rules(alpha=0)}),
    ("experiment.rules.alpha", {"rules": pb.Rules(alpha=0.51)}),
    ("experiment.rules.accuracy_margin", {"rules": pb.Rules(accuracy_margin=-0.01)}),
    ("experiment.rules.slow_margin", {"rules": pb.Rules(slow_margin=1.01)}),
    ("experiment.rules.failed_margin", {"rules": pb.Rules(failed_margin=NAN)}),
    ("experiment.rules.slow_ms", {"rules": pb.Rules(slow_ms=0)}),
    ("experiment.rules.slow_ms", {"rules": pb.Rules(slow_ms=float("inf"))}),
    ("experiment.rules.stop_after_s", {"rules": pb.Rules(stop_after_s=0.5)}),
    ("experiment.rules.stop_after_s", {"rules": pb.Rules(stop_after_s=31_622_401)}),
    ("experiment.rules.stop_after_s", {"rules": pb.Rules(stop_after_s=NAN)}),
    ("experiment.ramp.steps", {"ramp": pb.Ramp()}),
    ("experiment.ramp.steps", {"ramp": pb.Ramp(steps=[i / 18 for i in range(1, 18)])}),
    ("experiment.ramp.steps[0]", {"ramp": pb.Ramp(steps=[0])}),
    ("experiment.ramp.steps[1]", {"ramp": pb.Ramp(steps=[0.2, 0.2])}),
    ("experiment.ramp.steps[1]", {"ramp": pb.Ramp(steps=[0.2, 1])}),
    ("experiment.ramp.steps[0]", {"ramp": pb.Ramp(steps=[0.0009])}),
    ("experiment.ramp.steps[1]", {"ramp": pb.Ramp(steps=[0.2, 0.9991])}),
    ("experiment.ramp.hold_s", {"ramp": pb.Ramp(steps=[0.2], hold_s=0.5)}),
    ("experiment.ramp.hold_s", {"ramp": pb.Ramp(steps=[0.2], hold_s=2_592_001)}),
    ("experiment.ramp.min_keys", {"ramp": pb.Ramp(steps=[0.2], min_keys=-1)}),
    ("experiment.state", {"state": pb.EXPERIMENT_STATE_RUNNING}),
    ("experiment.detail", {"detail": "It runs."}),
    ("experiment.epoch", {"epoch": 1}),
    ("experiment.salt", {"salt": "s"}),
    ("experiment.create_time", {"create_time": {"seconds": 1}}),
    ("experiment.start_time", {"start_time": {}}),
    ("experiment.epoch_time", {"epoch_time": {}}),
    ("experiment.end_time", {"end_time": {}}),
    ("experiment.step", {"step": 1}),
]


@pytest.mark.parametrize(("field", "values"), BAD)
def test_what_breaks_a_limit_is_refused(field: str, values: dict[str, Any]) -> None:
    """In a sentence that names the field."""
    with pytest.raises(InvalidArgument) as caught:
        complete(two_arms(**values))

    assert ("FIELD_INVALID", field) == (caught.value.reason, caught.value.field)
    assert caught.value.message.endswith(".")


IDLE: list[tuple[str, pb.Experiment]] = [
    ("experiment.arms", two_arms(arms=_arms("1"))),
    ("experiment.slot_end", two_arms(slot_begin=0.5, slot_end=0.5)),
    ("experiment.slot_end", two_arms(slot_begin=1)),
    ("experiment.ramp", two_arms(arms=_arms("1", "2", "3"), ramp=pb.Ramp(steps=[0.1]))),
    ("experiment.ramp", shadowed(ramp=pb.Ramp(steps=[0.1]))),
    ("experiment.arms[0].weight", two_arms(arms=_arms("1", "2"), ramp=pb.Ramp(steps=[0.1]))),
    ("experiment.rules.slow_ms", shadowed(rules=pb.Rules(slow_ms=50))),
    ("experiment.rules.slow_margin", shadowed(rules=pb.Rules(slow_margin=0))),
    ("experiment.audience.tenants", two_arms(audience=pb.Audience(tenants=[""]))),
    ("experiment.rules.auto_promote", shadowed(shadows=_shadows("2", "3"), rules=pb.Rules(auto_promote=True))),
    ("experiment.rules.auto_promote", two_arms(arms=_arms("1", "1"), rules=pb.Rules(auto_promote=True))),
]


@pytest.mark.parametrize(("field", "definition"), IDLE)
def test_what_would_change_nothing_is_refused(field: str, definition: pb.Experiment) -> None:
    """Rather than taken, and waited for."""
    with pytest.raises(InvalidArgument) as caught:
        complete(definition)

    assert ("EXPERIMENT_WITHOUT_EFFECT", field) == (caught.value.reason, caught.value.field)


def test_the_sentence_names_the_limit() -> None:
    """And what was given."""
    with pytest.raises(InvalidArgument, match=r"\.rules\.alpha must be above 0 and at most 0\.5; it is 0\.7\."):
        complete(two_arms(rules=pb.Rules(alpha=0.7)))
    limit = r"arms\[1\]\.weight must be at least 0\.001 of the sum of weights, 2000\.5; it is 0\.5\."
    with pytest.raises(InvalidArgument, match=limit):
        complete(two_arms(arms=[*_arms("1", weight=2000), *_arms("1", "2", weight=0.5)[1:]]))
