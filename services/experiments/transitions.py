"""What may become of an experiment, and when: each change returns another one. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from servicekit.errors import FailedPrecondition, InvalidArgument, Reason
from services.experiments.candidates import candidates, runs, shadows
from services.experiments.definitions import check_parts, check_weight, set_part
from triptych.experiments.v1 import experiment_pb2 as pb

RULE = "rule"
"""Acts where nobody was asked."""


def state_name(state: int) -> str:
    """Returns a state as it is spelled in the database and to people: `running`."""
    return pb.ExperimentState.Name(state).removeprefix("EXPERIMENT_STATE_").lower()


STATES = tuple(state_name(state) for state in pb.ExperimentState.values() if state)
"""In which an experiment can be."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Is what somebody does, or a rule."""

    time_us: int
    action: str
    """As the log of decisions calls it."""
    actor: str
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Numbers that it rests on."""

    def told(self, did: str) -> str:
        """Says it in a sentence: `anna stopped it: ...`; a rule's reason says everything."""
        if self.actor == RULE:
            return self.reason
        return f"{self.actor} {did}: {self.reason}" if self.reason else f"{self.actor} {did}."


def created(definition: pb.Experiment, salt: str, deed: Deed) -> pb.Experiment:
    """Returns the draft of a complete definition."""
    draft = _copy(definition)
    draft.state = pb.EXPERIMENT_STATE_DRAFT
    draft.salt = salt
    draft.create_time.FromMicroseconds(deed.time_us)
    draft.detail = deed.told("made it")
    return draft


def started(draft: pb.Experiment, running: Iterable[pb.Experiment], deed: Deed) -> pb.Experiment:
    """Returns a draft that requests take part in from now on.

    Args:
        draft: to start.
        running: those that run already.
        deed: who starts it.

    Raises:
        FailedPrecondition: it is no draft, another experiment has keys of its slot, or those of another layer take all.
    """
    if draft.state != pb.EXPERIMENT_STATE_DRAFT:
        raise wrong_state(draft, "only a draft can be started")
    others = list(running)
    clash = next((other for other in others if _share_keys(draft, other)), None)
    if clash is not None:
        raise FailedPrecondition(
            f"The experiment {clash.name!r} has the keys from {clash.slot_begin:g} to {clash.slot_end:g} of the layer "
            f"{clash.layer!r}; {draft.name!r} wants those from {draft.slot_begin:g} to {draft.slot_end:g}.",
            field="name",
        )
    _check_keys_left(draft, others)
    changed = _new_epoch(draft, deed)
    changed.state = pb.EXPERIMENT_STATE_RAMPING if draft.HasField("ramp") else pb.EXPERIMENT_STATE_RUNNING
    changed.start_time.FromMicroseconds(deed.time_us)
    changed.detail = deed.told("started it")
    return changed


def reweighted(
    experiment: pb.Experiment, weights: Mapping[str, float], deed: Deed, *, anew: bool = False
) -> pb.Experiment:
    """Returns an experiment with other weights and without a ramp; itself where that changes nothing.

    Args:
        experiment: that runs.
        weights: by arm. One that was rolled back is left out, or comes back.
        deed: who wants it.
        anew: whether evidence begins anew also where the weights are the same.

    Raises:
        FailedPrecondition: it does not run.
        InvalidArgument: an arm is missing, unknown, or has no weight that an arm can have.
    """
    if not runs(experiment):
        raise wrong_state(experiment, "only weights of one that runs can be changed")
    _check_weights(experiment, weights)
    same = all(weights.get(arm.name, 0.0) == arm.weight for arm in experiment.arms)
    if same and experiment.state == pb.EXPERIMENT_STATE_RUNNING and not anew:
        return experiment
    changed = _new_epoch(experiment, deed) if anew or not same else _copy(experiment)
    for arm in changed.arms:
        arm.weight = weights.get(arm.name, 0.0)
    changed.state = pb.EXPERIMENT_STATE_RUNNING
    changed.detail = deed.told("changed the weights")
    return changed


def renewed(experiment: pb.Experiment, deed: Deed) -> pb.Experiment:
    """Returns an experiment whose evidence begins anew, and which is else as it was: a step of its ramp, too.

    Raises:
        FailedPrecondition: it does not run.
    """
    if not runs(experiment):
        raise wrong_state(experiment, "only evidence of one that runs can begin anew")
    changed = _new_epoch(experiment, deed)
    changed.detail = deed.told("began its evidence anew")
    return changed


def stopped(experiment: pb.Experiment, deed: Deed) -> pb.Experiment:
    """Returns an experiment that no request takes part in any more.

    Raises:
        FailedPrecondition: it does not run.
    """
    if not runs(experiment):
        raise wrong_state(experiment, "only one that runs can be stopped")
    changed = _copy(experiment)
    changed.state = pb.EXPERIMENT_STATE_STOPPED
    changed.end_time.FromMicroseconds(deed.time_us)
    changed.detail = deed.told("stopped it")
    return changed


def promoted(experiment: pb.Experiment, name: str, deed: Deed) -> pb.Experiment:
    """Returns an experiment that has ended with the version of an arm or shadow.

    Raises:
        FailedPrecondition: it does not run, nor was it stopped.
        InvalidArgument: it has no arm or shadow of that name.
    """
    if not runs(experiment) and experiment.state != pb.EXPERIMENT_STATE_STOPPED:
        raise wrong_state(experiment, "only an arm of one that runs, or was stopped, can be promoted")
    version_of(experiment, name)
    changed = _copy(experiment)
    changed.state = pb.EXPERIMENT_STATE_CONCLUDED
    if not changed.HasField("end_time"):
        changed.end_time.FromMicroseconds(deed.time_us)
    changed.detail = deed.told(f"promoted {name}")
    return changed


def version_of(experiment: pb.Experiment, name: str) -> str:
    """Returns the version of an arm or shadow.

    Raises:
        InvalidArgument: there is none of that name.
    """
    versions = {arm.name: arm.version for arm in experiment.arms}
    versions |= {shadow.name: shadow.version for shadow in experiment.shadows}
    if name not in versions:
        known = ", ".join(versions)
        message = f"The experiment {experiment.name!r} has no arm or shadow {name[:64]!r}; it has {known}."
        raise InvalidArgument(message, field="arm")
    return versions[name]


def rolled_back(experiment: pb.Experiment, names: Collection[str], deed: Deed) -> pb.Experiment:
    """Returns an experiment without some of its candidates and shadows, stopped where none is left to compare."""
    changed = _copy(experiment)
    for arm in changed.arms:
        arm.weight = 0.0 if arm.name in names else arm.weight
    for shadow in changed.shadows:
        shadow.share = 0.0 if shadow.name in names else shadow.share
    if not (candidates(changed) if len(changed.arms) > 1 else shadows(changed)):
        return stopped(experiment, deed)  # as it was: its weights tell what happened
    if candidates(changed) != candidates(experiment):
        changed = _new_epoch(changed, deed)
    changed.detail = deed.told("rolled back")
    return changed


def ramped(experiment: pb.Experiment, deed: Deed) -> pb.Experiment:
    """Returns an experiment whose candidate has the part of the next step; it runs as it is where there is none."""
    following = experiment.step + 1
    if following == len(experiment.ramp.steps):
        changed = _copy(experiment)
        changed.state = pb.EXPERIMENT_STATE_RUNNING
    else:
        changed = _new_epoch(experiment, deed)
        changed.step = following
        set_part(changed, experiment.ramp.steps[following])
    changed.detail = deed.told("let it grow")
    return changed


def doubted(experiment: pb.Experiment, deed: Deed) -> pb.Experiment:
    """Returns an experiment whose dealing must be repaired before anything can be said."""
    changed = _copy(experiment)
    changed.detail = deed.reason
    return changed


def shown(experiment: pb.Experiment) -> pb.Experiment:
    """Returns what gateways are told: without whom was rolled back."""
    told = _copy(experiment)
    del told.arms[:], told.shadows[:]
    told.arms.extend(arm for arm in experiment.arms if arm.weight > 0)
    told.shadows.extend(shadows(experiment))
    return told


def wrong_state(experiment: pb.Experiment, rule: str) -> FailedPrecondition:
    """Returns the refusal of what can only be done in another state."""
    state = state_name(experiment.state)
    return FailedPrecondition(f"The experiment {experiment.name!r} is {state}; {rule}.", field="name")


def _copy(experiment: pb.Experiment) -> pb.Experiment:
    copy = pb.Experiment()
    copy.CopyFrom(experiment)
    return copy


def _new_epoch(experiment: pb.Experiment, deed: Deed) -> pb.Experiment:
    changed = _copy(experiment)
    changed.epoch += 1
    changed.epoch_time.FromMicroseconds(deed.time_us)
    return changed


def _share_keys(one: pb.Experiment, other: pb.Experiment) -> bool:
    if (one.model, one.layer) != (other.model, other.layer):
        return False
    return one.slot_begin < other.slot_end and other.slot_begin < one.slot_end


def _check_keys_left(draft: pb.Experiment, running: Iterable[pb.Experiment]) -> None:
    """Refuses a draft whose every request would take part in experiments of another layer, started before it."""
    slots: dict[str, list[pb.Experiment]] = {}
    for other in running:
        if other.model == draft.model and other.layer != draft.layer and _takes_all_of(other.audience, draft.audience):
            slots.setdefault(other.layer, []).append(other)
    for layer, others in slots.items():
        if _cover(others):
            names = ", ".join(repr(other.name) for other in others)
            raise FailedPrecondition(
                f"No request would reach {draft.name!r}: {names} of the layer {layer!r} had them all first. Put them "
                f"into one layer, and give each a slot of its own.",
                reason=Reason.EXPERIMENT_WITHOUT_EFFECT,
                field="name",
            )


def _takes_all_of(audience: pb.Audience, other: pb.Audience) -> bool:
    """Says whether whoever belongs to the other audience belongs to this one."""
    if audience.tenants and not (other.tenants and set(other.tenants) <= set(audience.tenants)):
        return False
    return audience.headers.items() <= other.headers.items()


def _cover(experiments: Iterable[pb.Experiment]) -> bool:
    """Says whether the slots of one layer leave no key."""
    covered = 0.0
    for each in sorted(experiments, key=lambda each: each.slot_begin):
        if each.slot_begin > covered:
            return False
        covered = max(covered, each.slot_end)
    return covered >= 1


def _check_weights(experiment: pb.Experiment, weights: Mapping[str, float]) -> None:
    if len(experiment.arms) == 1:
        message = f"The experiment {experiment.name!r} has one arm: its weight changes nothing."
        raise InvalidArgument(message, reason=Reason.EXPERIMENT_WITHOUT_EFFECT, field="weights")
    names = [arm.name for arm in experiment.arms]
    unknown = next((name for name in weights if name not in names), None)
    if unknown is not None:
        message = f"The experiment {experiment.name!r} has no arm {unknown[:64]!r}; it has {', '.join(names)}."
        raise InvalidArgument(message, field="weights")
    missing = [arm.name for arm in experiment.arms if arm.weight > 0 and arm.name not in weights]
    if missing:
        raise InvalidArgument(f"weights must name every arm; {', '.join(missing)} is missing.", field="weights")
    for name, weight in weights.items():
        check_weight(weight, f"weights[{name}]")
    check_parts({f"weights[{name}]": weight for name, weight in weights.items()})
