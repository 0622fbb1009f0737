"""Which version answers, given what the Triton servers have loaded."""

import pytest
from fakes.repository import manifest as described

from servicekit.errors import InvalidArgument, NotFound, Reason, Unavailable
from servicekit.manifest import Manifest
from services.inference.catalog import Loaded, ascending, choose_version, find_model, merge, state_of

READY = Loaded("openvino", 8, 2)
BROKEN = Loaded("openvino", 8, 2, "Its configuration has another input than its manifest.")
TINY = Manifest.model_validate(described(temperatures={"1": 1, "2": 1, "10": 1}))


def test_versions_are_sorted_by_number() -> None:
    """10 comes after 2."""
    assert ["1", "2", "10"] == ascending(TINY.versions)


@pytest.mark.parametrize(
    ("chosen", "asked", "loaded"),
    [
        ("10", "", ["1", "2", "10"]),
        ("2", "", ["1", "2"]),
        ("1", "1", ["1", "2", "10"]),
    ],
)
def test_a_version_is_chosen(chosen: str, asked: str, loaded: list[str]) -> None:
    """The one asked for, else the newest that is ready."""
    assert (chosen, READY) == choose_version(TINY, asked, {("tiny", version): READY for version in loaded})


def test_a_broken_version_is_passed_over() -> None:
    """A version that contradicts its manifest never answers, newest or not."""
    assert ("2", READY) == choose_version(TINY, "", {("tiny", "10"): BROKEN, ("tiny", "2"): READY})


@pytest.mark.parametrize(
    ("chosen", "asked", "ready"),
    [
        ("2", "", ["1", "2", "10"]),  # not the newest
        ("1", "", ["1", "10"]),  # the default is away: what it replaced, not what nobody made the default
        ("10", "10", ["1", "2", "10"]),
    ],
)
def test_a_default_version_bounds_the_choice(chosen: str, asked: str, ready: list[str]) -> None:
    """Without a name the default answers, else an older one; a newer one answers only to its name."""
    pinned = TINY.model_copy(update={"default_version": "2"})

    assert (chosen, READY) == choose_version(pinned, asked, {("tiny", version): READY for version in ready})


def test_a_version_above_the_default_never_answers_unasked() -> None:
    """With nothing up to the default ready, the model is not ready, whatever newer version is."""
    pinned = TINY.model_copy(update={"default_version": "2"})

    with pytest.raises(Unavailable, match="The model 'tiny' is not ready"):
        choose_version(pinned, "", {("tiny", "10"): READY})


@pytest.mark.parametrize("version", ["3", "x", "01", "-1"])
def test_an_unknown_version_is_not_found(version: str) -> None:
    """A version that is not in the manifest does not exist, whatever Triton has."""
    with pytest.raises(NotFound, match="it has 1, 2, 10") as caught:
        choose_version(TINY, version, {("tiny", version): READY})

    assert (Reason.MODEL_VERSION_NOT_FOUND, "version") == (caught.value.reason, caught.value.field)


@pytest.mark.parametrize("version", ["", "2"])
def test_a_version_that_is_not_loaded_is_not_ready(version: str) -> None:
    """Known but not loaded is worth a retry."""
    with pytest.raises(Unavailable) as caught:
        choose_version(TINY, version, {("tiny", "2"): BROKEN})

    assert (Reason.MODEL_NOT_READY, 1.0) == (caught.value.reason, caught.value.retry_after_s)


def test_a_model_name_is_required() -> None:
    """No name is the caller's fault."""
    with pytest.raises(InvalidArgument) as caught:
        find_model({"tiny": TINY}, "")

    assert (Reason.FIELD_MISSING, "model") == (caught.value.reason, caught.value.field)


def test_an_unknown_model_is_not_found() -> None:
    """A name that no manifest has does not exist."""
    with pytest.raises(NotFound, match="'huge'") as caught:
        find_model({"tiny": TINY}, "huge")

    assert "model" == caught.value.field


@pytest.mark.parametrize("replicas", [[BROKEN, READY], [READY, BROKEN]])
def test_one_ready_replica_is_enough(replicas: list[Loaded]) -> None:
    """A version is ready when any server has it ready."""
    assert {("tiny", "1"): READY} == merge({("tiny", "1"): loaded} for loaded in replicas)


def test_instances_add_up() -> None:
    """Servers that have a version ready compute it at the same time; one whose version is broken does not count."""
    assert 4 == merge({("tiny", "1"): loaded} for loaded in (READY, BROKEN, READY))["tiny", "1"].instances


def test_replicas_add_up() -> None:
    """Servers with different versions offer all of them."""
    assert {("tiny", "1"), ("tiny", "2")} == merge([{("tiny", "1"): READY}, {("tiny", "2"): READY}]).keys()


def test_what_nobody_loaded_says_so() -> None:
    """A version without a server has a sentence and no backend."""
    assert Loaded("", 0, 0, "No model server has loaded it.") == state_of(TINY, "1", {})
