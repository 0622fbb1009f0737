"""Labels of feedback that no model has."""

from typing import Any

import pytest
from fakes.evidence import said
from fakes.neighbours import model

from gateway.labels import MOST, add_unknown
from gateway.models import ModelDirectory
from triptych.experiments.v1 import feedback_service_pb2 as pb


def _directory(**labels: list[str]) -> ModelDirectory:
    """Returns a directory of these models, with 256 classes each."""
    directory = ModelDirectory("cats")
    directory.update([_model(name, labels=given) for name, given in labels.items()])
    return directory


def _model(name: str, **values: Any) -> Any:
    made = model(name)
    made.labels.extend(values.get("labels", ()))
    made.fingerprint = values.get("fingerprint", "1")
    return made


async def _told(directory: ModelDirectory, *labels: int | str) -> tuple[int, list[str]]:
    answer = pb.SubmitFeedbackResponse(accepted_count=len(labels))
    await add_unknown(directory, [said("p", label) for label in labels], answer)
    return answer.unknown_label_count, list(answer.unknown_labels)


async def test_a_typo_is_told_with_the_nearest_label() -> None:
    """Of whichever model has it; what a model has is not told."""
    count, (typo, index) = await _told(_directory(cats=["tabby"], dogs=["pug"]), "tabbby", "pug", 255, 256, "tabby")

    assert 2 == count
    assert "feedback[0].label is 'tabbby', which is no label of any model here; the nearest label is 'tabby'." == typo
    assert "feedback[3].label_index is 256, and no model here has more than 256 classes." == index


async def test_what_is_like_no_label_has_no_nearest() -> None:
    """The first ones are told in words, and all are counted."""
    count, told = await _told(_directory(cats=["tabby"]), *["zzz"] * 9)

    assert (9, MOST) == (count, len(told))
    assert told[0].endswith("any model here.")


@pytest.mark.parametrize("directory", [_directory(), _directory(cats=["tabby"], dogs=[])], ids=["none", "one lacks"])
async def test_what_is_not_known_is_not_judged(directory: ModelDirectory) -> None:
    """A name may be of the model whose labels nobody has told yet."""
    assert (0, []) == await _told(directory, "tabbby", 3)


def test_labels_are_asked_for_until_they_are_known() -> None:
    """Once of each state of each model."""
    directory = _directory(cats=["tabby"])
    assert not directory.lacks_labels
    directory.update([_model("cats")])
    assert (frozenset(["tabby"]), False) == (directory.labels(), directory.lacks_labels)
    directory.update([_model("cats", fingerprint="2")])
    assert (frozenset(), True) == (directory.labels(), directory.lacks_labels)
