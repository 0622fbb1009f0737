"""What becomes of a stored experiment when somebody wants it changed: the transitions, with what else they write."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from services.experiments import records, transitions
from services.experiments.decisions import Action, Kind
from services.experiments.transitions import Deed
from triptych.experiments.v1 import experiment_pb2 as pb

Change = Callable[[Connection, pb.Experiment, Deed], pb.Experiment]
"""Returns what becomes of an experiment; itself where nothing does."""


def started(connection: Connection, draft: pb.Experiment, deed: Deed) -> pb.Experiment:
    """Starts a draft, beside those that run."""
    return transitions.started(draft, [known.experiment for known in records.running(connection)], deed)


def stopped(_: Connection, experiment: pb.Experiment, deed: Deed) -> pb.Experiment:
    """Ends an experiment."""
    return transitions.stopped(experiment, deed)


def reweighted(weights: Mapping[str, float], *, anew: bool) -> Change:
    """Returns what gives the arms other weights, or begins their evidence anew."""
    if anew and not weights:
        return lambda _, experiment, deed: transitions.renewed(experiment, deed)
    return lambda _, experiment, deed: transitions.reweighted(experiment, weights, deed, anew=anew)


def promoted(name: str) -> Change:
    """Returns what ends an experiment, and pins the version of an arm or shadow."""

    def change(connection: Connection, experiment: pb.Experiment, deed: Deed) -> pb.Experiment:
        changed = transitions.promoted(experiment, name, deed)
        records.pin(connection, changed.model, transitions.version_of(changed, name), deed.time_us)
        return changed

    return change


def acted(action: Action) -> Change:
    """Returns what does what a rule wants."""

    def change(connection: Connection, experiment: pb.Experiment, deed: Deed) -> pb.Experiment:
        match action.kind:
            case Kind.ROLL_BACK:
                return transitions.rolled_back(experiment, action.names, deed)
            case Kind.REPAIR:
                return transitions.doubted(experiment, deed)
            case Kind.PROMOTE:
                return promoted(action.names[0])(connection, experiment, deed)
            case Kind.RAMP:
                return transitions.ramped(experiment, deed)
            case Kind.STOP:
                return transitions.stopped(experiment, deed)

    return change
