"""What of a change to experiments would have no effect, as far as the models tell. Pure.

The experiments service does not know the models; gateways do.
"""

from collections.abc import Container, Iterator, Mapping

from gateway.models import ModelDirectory
from servicekit.errors import FailedPrecondition, InvalidArgument, Reason, TriptychError, Unavailable
from servicekit.settings import variable
from triptych.classification.v1 import model_pb2
from triptych.experiments.v1 import experiment_pb2 as pb


def require_requests(directory: ModelDirectory, model: str, version: str, *, what: str, paths: tuple[str, str]) -> None:
    """Refuses a version that takes no requests.

    Args:
        directory: the models.
        model: its name. Empty: it is missing, which the experiments service tells.
        version: the same.
        what: would have no effect otherwise; begins a sentence.
        paths: of the fields at fault: where the model is not known, and where the version is not good.

    Raises:
        NotFound: there is no such model, or no such version.
        InvalidArgument: others of the model's versions take requests, and this one does not; or it is no number.
        Unavailable: the models are not known, or none of the model's versions takes requests at the moment.
    """
    if not model or not version:
        return
    model_path, version_path = paths
    try:
        directory.resolve(model, version)
    except Unavailable as error:
        if error.reason is not Reason.MODEL_NOT_READY or not _takes_any(directory, model):
            raise
        raise _without_effect(directory, model, version, what).at(version_path) from None
    except TriptychError as error:
        raise error.at(model_path if error.field == "model" else version_path) from None


def require_draft(directory: ModelDirectory, experiment: pb.Experiment) -> None:
    """Refuses to make and start an experiment of which an arm or a shadow takes no requests.

    Raises:
        TriptychError: one does not; the path is that in a request to make the experiment.
    """
    for place, name, version in _versions(experiment):
        what = f"The arm or shadow {name[:64]!r}"
        paths = "experiment.model", f"experiment.{place}.version"
        require_requests(directory, experiment.model, version, what=what, paths=paths)


def require_start(directory: ModelDirectory, experiment: pb.Experiment) -> None:
    """Refuses to start an experiment of which an arm or a shadow takes no requests.

    Raises:
        TriptychError: one does not; the path is that in a request to start the experiment.
    """
    for _, name, version in _versions(experiment):
        what = f"The arm or shadow {name!r}"
        require_requests(directory, experiment.model, version, what=what, paths=("name", "name"))


def require_weights(directory: ModelDirectory, experiment: pb.Experiment, weights: Mapping[str, float]) -> None:
    """Refuses more weight for an arm that takes no requests; what else is wrong with weights the service refuses.

    Raises:
        TriptychError: one does not; the path is that in a request to set the weights.
    """
    for arm in experiment.arms:
        if weights.get(arm.name, 0) > arm.weight:
            paths = "name", f"weights[{arm.name}]"
            require_requests(directory, experiment.model, arm.version, what=f"The arm {arm.name!r}", paths=paths)


def require_way_back(experiment: pb.Experiment, live: str, *, at: str) -> None:
    """Refuses to start an experiment of which a candidate is what answers everybody without it.

    Whoever is rolled back leaves its requests to the version that answers outside of experiments: a candidate would
    leave them to itself, and get all the others besides. Shadows answer nobody, so it does not matter what they are.

    Args:
        experiment: to be started.
        live: the version that answers requests which name none and take part in nothing; empty: none does.
        at: field of the request at fault; `{place}` in it stands for the arm's, such as `arms[1].version`.

    Raises:
        FailedPrecondition: one of the arms but the control is of that version, and the control is not.
    """
    control, *candidates = experiment.arms or [pb.Arm()]
    index = next((number for number, arm in enumerate(candidates, 1) if live and arm.version == live), None)
    if index is None or control.version == live:
        return
    place = f"arms[{index}].version"
    message = (
        f"{place} is {live}, which answers everybody outside of experiments: to roll it back would give it all "
        f"requests. Make version {live} the control, or pin the control's first: version {control.version} of "
        f"the model {experiment.model!r}."
    )
    raise FailedPrecondition(message, field=at.format(place=place))


def require_shadows(experiment: pb.Experiment, *, at: str, shown: bool) -> None:
    """Refuses to start an experiment with shadows that would see nothing.

    Args:
        experiment: to be started.
        at: field of the request at fault.
        shown: whether this gateway shows requests to shadows.

    Raises:
        InvalidArgument: it has shadows, and they would not.
    """
    if experiment.shadows and not shown:
        name = experiment.shadows[0].name[:64]
        message = f"The shadow {name!r} would see nothing: {variable('max_shadows')} of this gateway is 0."
        raise InvalidArgument(message, reason=Reason.EXPERIMENT_WITHOUT_EFFECT, field=at)


def require_model(directory: ModelDirectory, model: str, pins: Container[str]) -> None:
    """Refuses to take back the pin of a model that there is not; that of one that is gone can be taken back.

    Args:
        directory: the models.
        model: its name. Empty: it is missing, which the experiments service tells.
        pins: models of which a version is pinned.

    Raises:
        NotFound: there is no such model, and no pin of it.
        Unavailable: the models are not known.
    """
    if model and model not in pins:
        directory.find(model)


def require_promotion(directory: ModelDirectory, experiment: pb.Experiment, arm: str) -> None:
    """Refuses to promote an arm or shadow that takes no requests; one that is not there the service refuses.

    Raises:
        TriptychError: it does not; the path is that in a request to promote.
    """
    for _, name, version in _versions(experiment):
        if name == arm:
            what = f"To promote {arm!r}"
            require_requests(directory, experiment.model, version, what=what, paths=("arm", "arm"))


def _versions(experiment: pb.Experiment) -> Iterator[tuple[str, str, str]]:
    """Returns where each arm and shadow stands, its name and its version."""
    for index, arm in enumerate(experiment.arms):
        yield f"arms[{index}]", arm.name, arm.version
    for index, shadow in enumerate(experiment.shadows):
        yield f"shadows[{index}]", shadow.name, shadow.version


def _takes_any(directory: ModelDirectory, model: str) -> bool:
    return any(each.state == model_pb2.MODEL_STATE_READY for each in directory.find(model).versions)


def _without_effect(directory: ModelDirectory, model: str, version: str, what: str) -> InvalidArgument:
    why = next(each.detail for each in directory.find(model).versions if each.version == version)
    text = f"{what} would have no effect: version {version} of the model {model!r} takes no requests. {why}".rstrip()
    return InvalidArgument(text, reason=Reason.EXPERIMENT_WITHOUT_EFFECT)
