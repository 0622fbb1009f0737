"""What the gateway makes of what the experiments service says."""

import math
from typing import Any

import pytest

from gateway.experiments.routes import read_experiment, read_routes
from gateway.routing import Arm, Audience, Holdout, Shadow
from triptych.experiments.v1 import evidence_service_pb2 as pb
from triptych.experiments.v1 import experiment_pb2
from triptych.experiments.v1.experiment_pb2 import Experiment

ARMS = [
    experiment_pb2.Arm(name="control", version="1", weight=3),
    experiment_pb2.Arm(name="candidate", version="2", weight=1),
]


def _experiment(**values: Any) -> Experiment:
    defaults = {"name": "speed", "model": "cats", "arms": ARMS, "state": experiment_pb2.EXPERIMENT_STATE_RUNNING}
    return Experiment(**{**defaults, **values})


def test_an_experiment_is_read() -> None:
    """With all that routing needs."""
    read = read_experiment(
        _experiment(
            salt="s",
            epoch=4,
            layer="top",
            slot_begin=0.2,
            slot_end=0.6,
            shadows=[experiment_pb2.Shadow(name="fast", version="3", share=0.5)],
            audience=experiment_pb2.Audience(tenants=["shop"], headers={"X-App": "ios"}),
            rules=experiment_pb2.Rules(slow_ms=250),
        )
    )

    assert (Arm("control", "1", 3.0), Arm("candidate", "2", 1.0)) == read.arms
    assert (Shadow("fast", "3", 0.5),) == read.shadows
    assert Audience(frozenset({"shop"}), (("x-app", "ios"),)) == read.audience
    assert ("speed", "cats", "s", 4, "top", (0.2, 0.6), 250.0) == (
        read.name,
        read.model,
        read.salt,
        read.epoch,
        read.layer,
        read.slot,
        read.slow_ms,
    )


def test_what_is_left_out_has_its_default() -> None:
    """The whole layer, everybody, and a tenth of a second."""
    read = read_experiment(_experiment())

    assert ((0.0, 1.0), Audience(), 100.0) == (read.slot, read.audience, read.slow_ms)


def test_a_ramping_experiment_is_read() -> None:
    """By its arms' weights, which the service keeps up with the ramp's step."""
    ramping = experiment_pb2.EXPERIMENT_STATE_RAMPING

    assert [3.0, 1.0] == [arm.weight for arm in read_experiment(_experiment(state=ramping)).arms]


def test_an_arm_without_weight_gets_nobody() -> None:
    """As after it was rolled back, while others go on."""
    gone = experiment_pb2.Arm(name="worst", version="3", weight=0)

    assert ["control", "candidate"] == [arm.name for arm in read_experiment(_experiment(arms=[*ARMS, gone])).arms]


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"model": ""},
        {"state": experiment_pb2.EXPERIMENT_STATE_DRAFT},
        {"state": experiment_pb2.EXPERIMENT_STATE_STOPPED},
        {"arms": []},
        {"arms": [experiment_pb2.Arm(name="control", version="1", weight=0)]},
        {"arms": [experiment_pb2.Arm(name="control", version="1", weight=-1)]},
        {"arms": [experiment_pb2.Arm(name="control", version="1", weight=math.inf)]},
        {"arms": [experiment_pb2.Arm(name="control", version="1", weight=math.nan)]},
        {"arms": [experiment_pb2.Arm(name="control", version="one", weight=1)]},
        {"arms": [experiment_pb2.Arm(version="1", weight=1)]},
        {"arms": [ARMS[0], ARMS[0]]},
        {"shadows": [experiment_pb2.Shadow(name="control", version="3", share=1)]},
        {"shadows": [experiment_pb2.Shadow(name="fast", version="", share=1)]},
        {"shadows": [experiment_pb2.Shadow(name="fast", version="3", share=1.5)]},
        {"shadows": [experiment_pb2.Shadow(name="fast", version="3", share=math.nan)]},
        {"slot_begin": 0.6, "slot_end": 0.5},
        {"slot_begin": -0.1},
        {"slot_end": 1.1},
        {"rules": experiment_pb2.Rules(slow_ms=0)},
        {"rules": experiment_pb2.Rules(slow_ms=math.nan)},
    ],
)
def test_what_makes_no_sense_is_left_out(values: dict[str, Any]) -> None:
    """And told of, while the others count."""
    sound = _experiment(name="sound")
    routes = read_routes(pb.GetRoutingResponse(revision=3, experiments=[_experiment(**values), sound]))

    assert (3, {"sound"}, 1) == (routes.revision, routes.names, len(routes.faults))


def test_experiments_keep_their_order() -> None:
    """By model, as they were started."""
    names = ["b", "a", "c"]
    experiments = [_experiment(name=name) for name in names] + [_experiment(name="d", model="dogs")]
    routes = read_routes(pb.GetRoutingResponse(revision=1, experiments=experiments))

    assert {"cats": names, "dogs": ["d"]} == {
        model: [each.name for each in found] for model, found in routes.experiments.items()
    }


def test_holdout_and_pins_are_read() -> None:
    """Those that make sense."""
    pins = {"cats": "2", "dogs": "latest"}
    routes = read_routes(pb.GetRoutingResponse(revision=1, holdout_share=0.1, holdout_salt="h", pins=pins))

    assert (Holdout("h", 0.1), {"cats": "2"}, 1) == (routes.holdout, routes.pins, len(routes.faults))


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_holdout_that_is_no_share_keeps_nobody_out(share: float) -> None:
    """And is told of."""
    routes = read_routes(pb.GetRoutingResponse(revision=1, holdout_share=share))

    assert (0.0, 1) == (routes.holdout.share, len(routes.faults))
