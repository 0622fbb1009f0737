"""What the models tell of a change to experiments."""

import pytest
from fakes.neighbours import model
from fakes.scripted_experiments import experiment

from gateway.effect import (
    require_draft,
    require_promotion,
    require_requests,
    require_start,
    require_way_back,
    require_weights,
)
from gateway.models import ModelDirectory
from servicekit.errors import FailedPrecondition, Reason, TriptychError, Unavailable
from triptych.inference.v1 import model_pb2

PATHS = ("model", "version")


def _directory(*, lost: bool = False) -> ModelDirectory:
    directory = ModelDirectory("m")
    found = model("m", "1", "2", "3")
    found.versions[2].state = model_pb2.MODEL_STATE_UNAVAILABLE
    directory.update([found])
    if lost:
        directory.lose("The inference service does not answer.")
    return directory


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_version_that_takes_requests_will_do(version: str) -> None:
    """Nothing is refused."""
    require_requests(_directory(), "m", version, what="It", paths=PATHS)


@pytest.mark.parametrize(("name", "version"), [("", "3"), ("m", "")])
def test_what_is_missing_is_not_checked(name: str, version: str) -> None:
    """It is not taken for the default; the experiments service refuses it."""
    require_requests(_directory(), name, version, what="It", paths=PATHS)


@pytest.mark.parametrize(
    ("reason", "field", "name", "version"),
    [
        (Reason.EXPERIMENT_WITHOUT_EFFECT, "version", "m", "3"),
        (Reason.MODEL_VERSION_NOT_FOUND, "version", "m", "4"),
        (Reason.FIELD_INVALID, "version", "m", "newest"),
        (Reason.MODEL_NOT_FOUND, "model", "n", "1"),
    ],
)
def test_what_takes_no_requests_is_refused(reason: Reason, field: str, name: str, version: str) -> None:
    """The reason tells a version that is there from one that is not."""
    with pytest.raises(TriptychError) as caught:
        require_requests(_directory(), name, version, what="It", paths=PATHS)

    assert (reason, field) == (caught.value.reason, caught.value.field)


@pytest.mark.parametrize("directory", [_directory(lost=True), ModelDirectory("m")], ids=["lost", "not known"])
def test_an_outage_is_no_fault_of_the_request(directory: ModelDirectory) -> None:
    """Where nothing takes requests at the moment, the same call may succeed later."""
    with pytest.raises(Unavailable) as caught:
        require_requests(directory, "m", "1", what="It", paths=PATHS)

    assert caught.value.retry_after_s


def test_the_first_fault_is_told() -> None:
    """Arms come before shadows."""
    with pytest.raises(TriptychError) as caught:
        require_draft(_directory(), experiment("1", "3", model="m", shadow="9"))

    assert ("experiment.arms[1].version", Reason.EXPERIMENT_WITHOUT_EFFECT) == (caught.value.field, caught.value.reason)


def test_the_control_is_checked_too() -> None:
    """An experiment without its control compares nothing."""
    with pytest.raises(TriptychError, match="'a' would have no effect"):
        require_start(_directory(), experiment("3", "1", model="m"))


def test_an_arm_that_gets_more_keys_must_take_requests() -> None:
    """One that gets none, fewer or as many need not: it may be the reason for the change."""
    gone = experiment("1", "3", model="m", shadow="9")
    for weight in (0, 0.5, 1):
        require_weights(_directory(), gone, {"a": 1, "b": weight})
    with pytest.raises(TriptychError, match="'b' would have no effect"):
        require_weights(_directory(), gone, {"a": 1, "b": 1.1})


def test_only_what_is_promoted_must_take_requests() -> None:
    """The version that is left may be gone already."""
    require_promotion(_directory(), experiment("3", "1", model="m", shadow="9"), "b")
    with pytest.raises(TriptychError, match="no version '9'"):
        require_promotion(_directory(), experiment("3", "1", model="m", shadow="9"), "s")


@pytest.mark.parametrize(
    ("live", "versions"), [("1", "12"), ("1", "11"), ("3", "12"), ("", "12")], ids=["control", "A/A", "other", "none"]
)
def test_an_experiment_that_leads_back_may_start(live: str, versions: str) -> None:
    """Whoever is rolled back leaves its requests to another version, or to the same one in the control's name."""
    require_way_back(experiment(*versions, shadow=live), live, at="name")


def test_a_candidate_that_answers_everybody_is_refused() -> None:
    """The arm is named, and what to do instead."""
    with pytest.raises(
        FailedPrecondition, match=r"arms\[2\]\.version is 3, .* the control, or pin .*: version 1"
    ) as caught:
        require_way_back(experiment("1", "2", "3"), "3", at="experiment.{place}")

    assert "experiment.arms[2].version" == caught.value.field
