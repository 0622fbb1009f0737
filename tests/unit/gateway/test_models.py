"""Which models can be asked for."""

import pytest
from fakes.neighbours import model

from gateway.models import ModelDirectory
from servicekit.errors import InvalidArgument, NotFound, Reason, TriptychError, Unavailable
from triptych.inference.v1 import model_pb2


@pytest.fixture
def directory() -> ModelDirectory:
    """A directory of two models, the first by name not the default."""
    known = ModelDirectory("tiny")
    known.update([model("tiny", "1", "2"), model("other")])
    return known


@pytest.mark.parametrize(("name", "asked", "version"), [("tiny", "", ""), ("tiny", "", "2"), ("other", "other", "1")])
def test_a_model_is_resolved(directory: ModelDirectory, name: str, asked: str, version: str) -> None:
    """No name means the default model."""
    assert name == directory.resolve(asked, version).model


@pytest.mark.parametrize(
    ("cls", "reason", "field", "name", "version"),
    [
        (NotFound, Reason.MODEL_NOT_FOUND, "model", "huge", ""),
        (NotFound, Reason.MODEL_NOT_FOUND, "model", "Tiny", ""),
        (NotFound, Reason.MODEL_VERSION_NOT_FOUND, "version", "", "3"),
        (NotFound, Reason.MODEL_VERSION_NOT_FOUND, "version", "other", "2"),
        (NotFound, Reason.MODEL_VERSION_NOT_FOUND, "version", "", "01"),
        (InvalidArgument, Reason.FIELD_INVALID, "version", "", "latest"),
        (InvalidArgument, Reason.FIELD_INVALID, "version", "", "-1"),
        (InvalidArgument, Reason.FIELD_INVALID, "version", "", "²"),
        (InvalidArgument, Reason.FIELD_INVALID, "version", "", "٣"),
    ],
)
def test_what_is_unknown_is_explained(
    directory: ModelDirectory, cls: type[TriptychError], reason: Reason, field: str, name: str, version: str
) -> None:
    """A model, a version and a version's form each have their own reason."""
    with pytest.raises(cls) as caught:
        directory.resolve(name, version)

    assert (reason, field) == (caught.value.reason, caught.value.field)


@pytest.mark.parametrize(("name", "version"), [("x" * 10_000, ""), ("", "9" * 10_000), ("", "x" * 10_000)])
def test_a_sentence_never_repeats_a_whole_novel(directory: ModelDirectory, name: str, version: str) -> None:
    """What the caller sent is cut, so that the answer fits into a header."""
    with pytest.raises(TriptychError) as caught:
        directory.resolve(name, version)

    assert len(caught.value.message) < 300


def test_an_empty_directory_is_not_a_missing_model() -> None:
    """Before the first answer of the inference service, retrying is right."""
    with pytest.raises(Unavailable):
        ModelDirectory("tiny").resolve("", "")


@pytest.mark.parametrize(
    ("problem", "models"),
    [
        (None, [model("tiny")]),
        ("The default model 'tiny' is not in the model repository.", [model("other")]),
        (
            "No model server has loaded it.",
            [model("tiny", state=model_pb2.MODEL_STATE_UNAVAILABLE), model("other")],
        ),
    ],
)
def test_the_default_model_decides(problem: str | None, models: list[model_pb2.Model]) -> None:
    """The gateway is ready for its default model, or says why not."""
    directory = ModelDirectory("tiny")
    directory.update(models)

    assert problem == directory.problem()


def test_models_are_sorted(directory: ModelDirectory) -> None:
    """Whatever order they came in."""
    assert ["other", "tiny"] == [each.name for each in directory.describe()]
