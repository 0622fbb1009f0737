"""What the rules of an experiment do about what is said of its candidates. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.experiments.candidates import candidates, part, percent, shadows
from services.experiments.verdicts import Advice, Facts, Verdict
from triptych.experiments.v1 import experiment_pb2 as pb


class Kind(StrEnum):
    """Names what rules do, as the log of decisions calls it."""

    ROLL_BACK = "roll back"
    REPAIR = "repair"
    PROMOTE = "promote"
    RAMP = "ramp"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Judged:
    """Is what the facts say of a candidate or shadow."""

    name: str
    facts: Facts
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Action:
    """Is what is to be done, of whom, and why."""

    kind: Kind
    of: tuple[Judged, ...]
    reason: str

    @property
    def names(self) -> tuple[str, ...]:
        """Returns of whom."""
        return tuple(each.name for each in self.of)


def decide(experiment: pb.Experiment, judged: Sequence[Judged], now_us: int, *, repaired: bool) -> Action | None:
    """Returns what to do; None: go on. Whoever is bad goes first, before anybody is promoted.

    Args:
        experiment: one that runs.
        judged: everybody who is compared with its control.
        now_us: the time.
        repaired: whether it was said in this epoch already that the dealing must be repaired.
    """
    bad = _advised(judged, Advice.ROLL_BACK)
    if bad and not experiment.rules.no_rollback:
        return _action(Kind.ROLL_BACK, bad)
    broken = _advised(judged, Advice.REPAIR)
    over = _is_over(experiment, now_us)
    if broken and not repaired and not over:
        return _action(Kind.REPAIR, broken)
    ramping = experiment.state == pb.EXPERIMENT_STATE_RAMPING
    if ramping and not over:
        return _grow(experiment, judged, now_us)
    good = _advised(judged, Advice.PROMOTE, among=_promotable(experiment))
    if good and experiment.rules.auto_promote and not ramping:
        return _action(Kind.PROMOTE, [max(good, key=_gain)])
    return _end(experiment, judged) if over else None


def _advised(judged: Iterable[Judged], advice: Advice, among: Collection[str] | None = None) -> list[Judged]:
    return [each for each in judged if each.verdict.advice == advice and (among is None or each.name in among)]


def _action(kind: Kind, of: Sequence[Judged]) -> Action:
    return Action(kind, tuple(of), " ".join(each.verdict.sentence for each in of))


def _is_over(experiment: pb.Experiment, now_us: int) -> bool:
    """Says whether the experiment has had the time that its rules give it."""
    after_s = experiment.rules.stop_after_s
    return after_s > 0 and now_us - experiment.start_time.ToMicroseconds() >= after_s * 1e6


def _end(experiment: pb.Experiment, judged: Sequence[Judged]) -> Action:
    """Returns the end of an experiment that has had its time, with what is known of everybody by then."""
    known = " ".join(each.verdict.sentence for each in judged)
    return Action(Kind.STOP, tuple(judged), f"It has run for {experiment.rules.stop_after_s:,.0f} s, its time. {known}")


def _promotable(experiment: pb.Experiment) -> list[str]:
    """Returns whom no person needs to promote: candidates, or, where there is none, the only shadow."""
    if len(experiment.arms) > 1:
        return [arm.name for arm in candidates(experiment)]
    seen = [shadow.name for shadow in shadows(experiment)]
    return seen if len(seen) == 1 else []


def _gain(judged: Judged) -> float:
    return max((each.estimate for each in judged.verdict.findings if each.metric.startswith("accuracy")), default=0.0)


def _grow(experiment: pb.Experiment, judged: Sequence[Judged], now_us: int) -> Action | None:
    """Returns the next step, once this one has held and seen enough keys, and nothing speaks against it."""
    candidate = experiment.arms[1]
    found = next((each for each in judged if each.name == candidate.name), None)
    if found is None or found.verdict.advice in (Advice.ROLL_BACK, Advice.REPAIR):
        return None
    held_s = (now_us - experiment.epoch_time.ToMicroseconds()) / 1e6
    answered = found.facts.failed[1].total
    if held_s < experiment.ramp.hold_s or answered < experiment.ramp.min_keys:
        return None
    so_far = f"nothing spoke against {percent(part(experiment, candidate))} in {held_s:,.0f} s and {answered:,} keys"
    return Action(Kind.RAMP, (found,), f"{_next_part(experiment)}: {so_far}.")


def _next_part(experiment: pb.Experiment) -> str:
    steps, following = experiment.ramp.steps, experiment.step + 1
    name = experiment.arms[1].name
    if following == len(steps):
        return f"{name} has had every step of the ramp, and keeps {percent(steps[-1])} of the keys"
    return f"{name} gets {percent(steps[following])} of the keys, step {following + 1} of {len(steps)}"
