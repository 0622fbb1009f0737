"""Says in words what experiments, arms, findings and times are. Pure, but for the clock that callers bring."""

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych.experiments.v1.experiment_pb2 import Experiment, Finding, Rules

RUNNING = frozenset({"running", "ramping"})
GOOD_WORDS = frozenset({"better", "no worse", "within bounds"})
BAD_WORDS = frozenset({"worse", "too bad"})
ACCURACY = ("accuracy", "accuracy on the same pictures")


def state_of(experiment: "Experiment") -> str:
    """Returns where it stands: `draft`, `running`, `ramping`, `stopped` or `concluded`."""
    from triptych.experiments.v1.experiment_pb2 import ExperimentState

    return ExperimentState.Name(experiment.state).removeprefix("EXPERIMENT_STATE_").lower()


def shares(experiment: "Experiment") -> dict[str, float]:
    """Returns the part of the keys that each arm gets."""
    total = sum(arm.weight for arm in experiment.arms)
    return {arm.name: arm.weight / total if total else 0.0 for arm in experiment.arms}


def percent(share: float) -> str:
    """Returns a share as people write it: `5 %`, `0.25 %`."""
    return f"{100 * share:.3g} %"


def points(difference: float) -> str:
    """Returns a difference of shares in points: `+1.24`."""
    return f"{100 * difference:+.2f}"


def margin_of(finding: "Finding", rules: "Rules") -> float:
    """Returns how bad a metric may become, with the sign of what is bad: less accuracy, more of anything else."""
    if finding.metric in ACCURACY:
        return -rules.accuracy_margin
    margins = {"late answers": rules.slow_margin, "failures": rules.failed_margin}
    return margins.get(finding.metric.removesuffix(" in the last hour"), rules.accuracy_margin)


def scale_of(finding: "Finding", margin: float) -> float:
    """Returns the least of 1, 2, 5, 10 ... points, at most 100, that holds the range and four margins."""
    least = max(abs(finding.low), abs(finding.high), 4 * abs(margin), 1e-4)
    power = 10.0 ** math.floor(math.log10(least))
    return float(min(1.0, next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))))


def split_of(experiment: "Experiment") -> str:
    """Returns who answers how much, in a few words: `control 95 %, b 5 %, shadow c 20 %`."""
    told = [f"{name} {percent(share)}" for name, share in shares(experiment).items()]
    told += [f"shadow {shadow.name} {percent(shadow.share)}" for shadow in experiment.shadows]
    return ", ".join(told)


def ramp_of(experiment: "Experiment") -> str:
    """Returns how the candidate's part grows; empty where it does not."""
    ramp = experiment.ramp
    if not ramp.steps:
        return ""
    steps = " → ".join(percent(step) for step in ramp.steps)
    least = f"each for at least {duration(ramp.hold_s)} and {ramp.min_keys:,} keys"
    now = f"step {experiment.step + 1} of {len(ramp.steps)}; " if state_of(experiment) == "ramping" else ""
    return f"ramp: {now}{steps}, {least}"


def audience_of(experiment: "Experiment") -> str:
    """Returns whose requests take part; empty where everybody's do."""
    told = []
    if experiment.audience.tenants:
        told.append(f"tenants {', '.join(experiment.audience.tenants)}")
    told += [f"{name}: {value}" for name, value in sorted(experiment.audience.headers.items())]
    if experiment.layer or experiment.slot_begin or experiment.slot_end not in (0.0, 1.0):
        slot = f"{percent(experiment.slot_begin)} to {percent(experiment.slot_end or 1.0)}"
        told.append(f"keys {slot} of layer {experiment.layer or 'of no name'}")
    return f"only {'; '.join(told)}" if told else ""


def duration(seconds: float) -> str:
    """Returns a length of time: `7 s`, `12 min`, `5 h 10 min`, `3 d 4 h`."""
    whole = max(0, int(seconds))
    for unit, length, below, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {unit}" + (f" {rest} {below}" if rest else "")
    if whole >= 60:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 and whole < 600 else "")
    return f"{whole} s"


def moment(time: Any) -> datetime:
    """Returns a protobuf time as one with a zone."""
    found: datetime = time.ToDatetime(tzinfo=UTC)
    return found


def clock(time: Any) -> str:
    """Returns a protobuf time by this machine's clock and zone: `2026-11-28 21:04:52`."""
    return f"{moment(time).astimezone():%Y-%m-%d %H:%M:%S}"


def age(time: Any, now: datetime) -> str:
    """Returns how long ago a protobuf time was: `12 min ago`."""
    return f"{duration((now - moment(time)).total_seconds())} ago"


def standing(experiment: "Experiment", now: datetime) -> str:
    """Returns where it stands and since when: `running for 12 min, epoch 2`."""
    state = state_of(experiment)
    if state in RUNNING:
        seconds = (now - moment(experiment.start_time)).total_seconds()
        return f"{state} for {duration(seconds)}, epoch {experiment.epoch}"
    time = experiment.end_time if experiment.HasField("end_time") else experiment.create_time
    return f"{state}, {age(time, now)}"
