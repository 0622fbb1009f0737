"""What the experiments service says of who is answered by what, as the gateway uses it. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.routing import Arm, Audience, Experiment, Holdout, Shadow
from triptych.experiments.v1 import evidence_service_pb2 as pb
from triptych.experiments.v1 import experiment_pb2

DEFAULT_SLOW_MS = 100.0
RUNNING = (experiment_pb2.EXPERIMENT_STATE_RUNNING, experiment_pb2.EXPERIMENT_STATE_RAMPING)


@dataclass(frozen=True, slots=True)
class Routes:
    """Says which experiments run, and which versions are pinned."""

    revision: int = 0
    experiments: Mapping[str, tuple[Experiment, ...]] = field(default_factory=dict)
    """By model, in the order in which they are asked."""
    holdout: Holdout = field(default_factory=lambda: Holdout(""))
    pins: Mapping[str, str] = field(default_factory=dict)
    """Versions, by model."""
    faults: tuple[str, ...] = ()
    """What makes no sense, and is left out: sentences for the log."""

    @property
    def names(self) -> set[str]:
        """Returns the names of the experiments."""
        return {each.name for experiments in self.experiments.values() for each in experiments}


def read_routes(response: pb.GetRoutingResponse) -> Routes:
    """Returns what an answer says; an experiment that makes no sense is left out."""
    experiments: dict[str, tuple[Experiment, ...]] = {}
    faults = []
    for message in response.experiments:
        try:
            read = read_experiment(message)
        except ValueError as error:
            faults.append(f"experiment {message.name!r}: {error}")
            continue
        experiments[read.model] = (*experiments.get(read.model, ()), read)
    share = response.holdout_share
    if not 0 <= share <= 1:
        faults.append(f"a holdout of {share:g}")
        share = 0.0
    pins = {model: version for model, version in response.pins.items() if _decimal(version)}
    faults += [f"a pin of {model!r}" for model in response.pins if model not in pins]
    return Routes(response.revision, experiments, Holdout(response.holdout_salt, share), pins, tuple(faults))


def read_experiment(message: experiment_pb2.Experiment) -> Experiment:
    """Returns an experiment.

    Raises:
        ValueError: it makes no sense.
    """
    _need(bool(message.name and message.model), "name and model are required")
    _need(message.state in RUNNING, "it does not run")
    rules = message.rules
    slow_ms = rules.slow_ms if rules.HasField("slow_ms") else DEFAULT_SLOW_MS
    _need(slow_ms > 0, f"slow_ms of {slow_ms:g}")
    headers = tuple((name.lower(), value) for name, value in sorted(message.audience.headers.items()))
    arms, shadows = _arms(message), tuple(map(_shadow, message.shadows))
    names = [*(arm.name for arm in arms), *(shadow.name for shadow in shadows)]
    _need(len(names) == len(set(names)), "two arms or shadows have one name")
    return Experiment(
        name=message.name,
        model=message.model,
        salt=message.salt,
        arms=arms,
        shadows=shadows,
        audience=Audience(frozenset(message.audience.tenants), headers),
        layer=message.layer,
        slot=_slot(message),
        epoch=message.epoch,
        slow_ms=slow_ms,
    )


def _arms(message: experiment_pb2.Experiment) -> tuple[Arm, ...]:
    """Returns the arms that get keys: one that was rolled back may be there still, without a weight."""
    arms = tuple(_arm(arm) for arm in message.arms if arm.weight != 0)
    _need(len(arms) > 0, "it has no arms")
    return arms


def _arm(message: experiment_pb2.Arm) -> Arm:
    _need(bool(message.name) and _decimal(message.version), "an arm has no name or no version")
    _need(0 < message.weight < math.inf, f"arm {message.name!r} has the weight {message.weight:g}")
    return Arm(message.name, message.version, message.weight)


def _shadow(message: experiment_pb2.Shadow) -> Shadow:
    _need(bool(message.name) and _decimal(message.version), "a shadow has no name or no version")
    _need(0 < message.share <= 1, f"shadow {message.name!r} has the share {message.share:g}")
    return Shadow(message.name, message.version, message.share)


def _slot(message: experiment_pb2.Experiment) -> tuple[float, float]:
    begin, end = message.slot_begin, message.slot_end or 1.0
    _need(0 <= begin < end <= 1, f"its slot is from {begin:g} to {end:g}")
    return begin, end


def _decimal(version: str) -> bool:
    return version.isascii() and version.isdecimal()


def _need(holds: bool, otherwise: str) -> None:  # noqa: FBT001 (what else would it take)
    if not holds:
        raise ValueError(otherwise)
