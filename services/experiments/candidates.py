"""Who is compared with the control in an experiment, and by which rules. Pure."""

from collections.abc import Iterator

from services.experiments import verdicts
from services.experiments.verdicts import Facts, Verdict
from triptych.experiments.v1 import experiment_pb2 as pb

RUNNING = (pb.EXPERIMENT_STATE_RUNNING, pb.EXPERIMENT_STATE_RAMPING)
"""States in which requests take part."""
_ENDED = (pb.EXPERIMENT_STATE_STOPPED, pb.EXPERIMENT_STATE_CONCLUDED)
_NO_WORSE = frozenset({"better", "no worse"})


def runs(experiment: pb.Experiment) -> bool:
    """Says whether requests take part."""
    return experiment.state in RUNNING


def has_ended(experiment: pb.Experiment) -> bool:
    """Says whether no request takes part in it any more."""
    return experiment.state in _ENDED


def candidates(experiment: pb.Experiment) -> list[pb.Arm]:
    """Returns the arms but the control; those that were rolled back have no weight, and are none any more."""
    return [arm for arm in experiment.arms[1:] if arm.weight > 0]


def shadows(experiment: pb.Experiment) -> list[pb.Shadow]:
    """Returns the shadows; those that were rolled back have no share, and are none any more."""
    return [shadow for shadow in experiment.shadows if shadow.share > 0]


def compared(experiment: pb.Experiment) -> list[str]:
    """Returns the names of all of them."""
    return [*(arm.name for arm in candidates(experiment)), *(shadow.name for shadow in shadows(experiment))]


def everybody(experiment: pb.Experiment) -> list[str]:
    """Returns the names of all that ever were, also of those that were rolled back."""
    return [*(arm.name for arm in experiment.arms[1:]), *(shadow.name for shadow in experiment.shadows)]


def part(experiment: pb.Experiment, arm: pb.Arm) -> float:
    """Returns the part of the keys that an arm gets."""
    return arm.weight / sum(each.weight for each in experiment.arms)


def percent(share: float) -> str:
    """Returns a part of the keys in words."""
    return f"{100 * share:.3g}%"


def rules_for(experiment: pb.Experiment, name: str) -> verdicts.Rules:
    """Returns by which rules a candidate or shadow is judged.

    Evidence begins anew with each epoch, and so does the risk of an error: the first gets a half of alpha, the next
    ones a sixth, a twelfth, and so on, which is alpha together, however many there will be. Candidates share what their
    epoch gets; those that were rolled back keep their part, so that nobody's grows. The alpha of the check of the
    dealing is shared likewise.
    """
    rules, epoch = experiment.rules, max(experiment.epoch, 1)
    epoch_part = 1 / (epoch * (epoch + 1))
    weights = {arm.name: arm.weight for arm in experiment.arms}
    return verdicts.Rules(
        weights=(experiment.arms[0].weight, weights.get(name) or 1.0),
        alpha=rules.alpha * epoch_part,
        mismatch_alpha=verdicts.MISMATCH_ALPHA * epoch_part,
        candidates=len(experiment.arms) - 1 + len(experiment.shadows),
        accuracy_margin=rules.accuracy_margin,
        slow_margin=rules.slow_margin,
        failed_margin=rules.failed_margin,
        promote=_NO_WORSE if rules.promote_no_worse else frozenset({"better"}),
    )


def message_of(experiment: pb.Experiment, name: str, facts: Facts, verdict: Verdict, time_us: int) -> pb.Verdict:
    """Returns a verdict as callers read it; of metrics that nothing was counted for it says nothing."""
    message = pb.Verdict(
        candidate=name,
        advice=verdict.advice,
        sentence=verdict.sentence,
        findings=_findings(verdict),
        epoch=experiment.epoch,
        control_keys=facts.assigned[0] or facts.failed[0].total,  # a shadow is dealt none, the control is
        candidate_keys=facts.assigned[1],
    )
    message.time.FromMicroseconds(time_us)
    return message


def _findings(verdict: Verdict) -> Iterator[pb.Finding]:
    for each in verdict.findings:
        if each.events:
            low, high = each.interval
            yield pb.Finding(
                metric=each.metric, estimate=each.estimate, low=low, high=high, events=each.events, word=each.word
            )
