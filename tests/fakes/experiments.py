"""Experiments as people would write them."""

from typing import Any

from services.experiments.definitions import complete
from services.experiments.transitions import Deed, created, started
from triptych.experiments.v1 import experiment_pb2 as pb

NOW_US = 1_800_000_000_000_000
"""When they are made and started."""


def two_arms(name: str = "speed", **values: Any) -> pb.Experiment:
    """Returns a definition: `live`, version 1, against `fast`, version 2; alike in weight where no ramp says it."""
    weight = 0 if values.get("ramp") else 1
    arms = [pb.Arm(name="live", version="1", weight=weight), pb.Arm(name="fast", version="2", weight=weight)]
    return pb.Experiment(**{"name": name, "model": "cats", "arms": arms, **values})


def shadowed(name: str = "gaze", **values: Any) -> pb.Experiment:
    """Returns a definition: `live`, version 1, whose requests `int8`, version 2, sees too."""
    defaults: dict[str, Any] = {
        "arms": [pb.Arm(name="live", version="1", weight=1)],
        "shadows": [pb.Shadow(name="int8", version="2", share=1)],
    }
    return pb.Experiment(**{"name": name, "model": "cats", **defaults, **values})


def running(definition: pb.Experiment) -> pb.Experiment:
    """Returns what a definition becomes once it is started."""
    deed = Deed(NOW_US, "start", "anna")
    return started(created(complete(definition), "salt", deed), [], deed)
