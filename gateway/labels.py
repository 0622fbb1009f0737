"""Which labels of feedback are none of any model here: typos, mostly, which would count as wrong for every arm."""

import asyncio
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from gateway.experiments.metrics import UNKNOWN_LABELS
from gateway.models import ModelDirectory
from triptych.experiments.v1 import feedback_service_pb2 as pb

MOST = 3
"""Sentences of one answer: looking for the nearest name takes milliseconds."""


async def add_unknown(
    directory: ModelDirectory, feedback: Sequence[pb.Feedback], answer: pb.SubmitFeedbackResponse
) -> None:
    """Tells in an answer how many of the labels that were taken are none of any model here, and counts them.

    They are taken all the same: the model may have been retired meanwhile, and a class that no model knows is worth
    learning. Where the labels of a model are not known yet, names are not judged; while no model is, nothing is.
    """
    unknown = list(_unknown(directory, feedback))
    if unknown:
        UNKNOWN_LABELS.inc(len(unknown))
        answer.unknown_label_count = len(unknown)
        answer.unknown_labels.extend(await asyncio.to_thread(_told, directory, feedback, unknown[:MOST]))


def _unknown(directory: ModelDirectory, feedback: Sequence[pb.Feedback]) -> Iterator[int]:
    """Returns the places of labels that no model has."""
    classes, names = directory.most_classes(), directory.labels()
    for index, each in enumerate(feedback):
        by_index = each.HasField("label_index")
        if (by_index and classes and each.label_index >= classes) or (
            not by_index and names and each.label not in names
        ):
            yield index


def _told(directory: ModelDirectory, feedback: Sequence[pb.Feedback], unknown: Sequence[int]) -> list[str]:
    names = directory.labels()
    return [_sentence(feedback[index], f"feedback[{index}]", names, directory.most_classes()) for index in unknown]


def _sentence(feedback: pb.Feedback, path: str, names: frozenset[str], classes: int) -> str:
    if feedback.HasField("label_index"):
        return f"{path}.label_index is {feedback.label_index}, and no model here has more than {classes:,} classes."
    nearest = get_close_matches(feedback.label, names, n=1)
    hint = f"; the nearest label is {nearest[0]!r}" if nearest else ""
    return f"{path}.label is {feedback.label[:64]!r}, which is no label of any model here{hint}."
