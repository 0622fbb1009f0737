"""Writes feedback as data to learn from: `feedback.jsonl`, and `images/<sha256>` beside it.

Everything is written beside the folder and takes its place in the end, so that nobody takes a half for the whole. What
an export that was cut off has left is used by the next one.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych.experiments.v1.feedback_service_pb2 import ExportFeedbackResponse

FILE = "feedback.jsonl"
IMAGES = "images"


class ExportError(RuntimeError):
    """Says why a folder cannot be written to."""


@dataclass(slots=True)
class Outcome:
    """Counts what an export has written."""

    written: int = 0
    """Predictions in the file."""
    labelled: int = 0
    """Those with the name of a label among them."""
    unnamed: int = 0
    """Those with a label of which only the index is known; they stand there without a name."""
    without_image: int = 0
    """Predictions that were left out: their image is not kept."""
    images: set[str] = field(default_factory=set)


def write_export(
    folder: Path, answers: "Iterable[ExportFeedbackResponse]", names: "dict[int, str] | None" = None
) -> Outcome:
    """Writes an export in place of an earlier one.

    Args:
        folder: where to; it does not exist yet, is empty, or holds an export.
        answers: what the service returns.
        names: of labels by index, for feedback that gives an index only; else those that other answers name are used.

    Raises:
        ExportError: the folder holds something else.
        OSError: it cannot be written.
    """
    _check(folder)
    outcome, partial = Outcome(), folder.with_name(f"{folder.name}.partial")
    (partial / IMAGES).mkdir(parents=True, exist_ok=True)
    labels = Labels(names)
    with _spooled(partial / "spool") as spool:
        for answer in answers:
            labels.learn(answer)
            if not answer.image:
                outcome.without_image += 1
                continue
            digest = _keep(answer.image, partial / IMAGES)
            outcome.images.add(digest)
            spool.write(json.dumps(_line(answer, digest), ensure_ascii=False) + "\n")
        spool.seek(0)
        _write_lines(partial / FILE, labels.named(map(json.loads, spool)), outcome)
    for stale in (partial / IMAGES).iterdir():  # of an export that was cut off: deleted since, or half written
        if stale.name not in outcome.images:
            stale.unlink()
    _replace(folder, partial)
    return outcome


class Labels:
    """Knows the names of labels by model and index, as far as they were told."""

    def __init__(self, names: "dict[int, str] | None") -> None:
        self._given = names or {}
        self._learned: dict[tuple[str, int], str] = {}

    def learn(self, answer: "ExportFeedbackResponse") -> None:
        """Takes the names that an answer tells."""
        if answer.predicted:
            self._learned[answer.model, answer.predicted_index] = answer.predicted
        if answer.label and answer.HasField("label_index"):
            self._learned[answer.model, answer.label_index] = answer.label

    def named(self, lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yields lines, with the names of labels of which only the index was known where possible."""
        for line in lines:
            index = line.get("label_index")
            if line["label"] is None and index is not None:
                line["label"] = self._given.get(index) or self._learned.get((line["model"], index))
            yield line


def _check(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ExportError(f"{folder} is no folder.")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in {FILE, IMAGES})
    if foreign:
        raise ExportError(f"{folder} holds something else than an export, such as {foreign[0]}; name a new folder.")


@contextmanager
def _spooled(path: Path) -> Iterator[IO[str]]:
    with path.open("w+", encoding="utf-8") as stream:
        yield stream
    path.unlink()


def _keep(image: bytes, folder: Path) -> str:
    """Keeps an image under its sha256, which is returned; one that is there already is not written again."""
    digest = hashlib.sha256(image).hexdigest()
    path = folder / digest
    if not path.exists():
        half = folder / f"{digest}.half"
        half.write_bytes(image)
        half.replace(path)
    return digest


def _line(answer: "ExportFeedbackResponse", digest: str) -> dict[str, Any]:
    from triptych.experiments.v1.feedback_service_pb2 import FeedbackSource

    line: dict[str, Any] = {
        "prediction_id": answer.prediction_id,
        "image_sha256": digest,
        "label": answer.label or None,
        "label_index": answer.label_index if answer.HasField("label_index") else None,
        "predicted": answer.predicted,
        "predicted_index": answer.predicted_index,
        "label_prob": answer.score,
        "model": answer.model,
        "version": answer.version,
        "predicted_at": _iso(answer.time),
        "inclusion_probability": answer.inclusion_probability,
        "logged_probability": answer.inclusion_probability,
    }
    if answer.HasField("label_time"):
        line["at"] = _iso(answer.label_time)
        line["source"] = FeedbackSource.Name(answer.source).removeprefix("FEEDBACK_SOURCE_").lower()
    if answer.experiment:
        line |= {"experiment": answer.experiment, "arm": answer.arm}
    return line


def _iso(time: Any) -> str:
    return str(time.ToDatetime(tzinfo=UTC).isoformat())


def _write_lines(path: Path, lines: Iterable[dict[str, Any]], outcome: Outcome) -> None:
    """Writes the lines; where answers were left out, none says how likely it was to be there.

    Which images are kept may depend on the answer, and no line tells how: of certain ones, say, there may be none.
    """
    with path.open("w", encoding="utf-8") as stream:
        for line in lines:
            if outcome.without_image:
                line["inclusion_probability"] = None
            outcome.written += 1
            outcome.labelled += line["label"] is not None
            outcome.unnamed += line["label"] is None and line["label_index"] is not None
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def _replace(folder: Path, partial: Path) -> None:
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def read_names(path: Path) -> dict[int, str]:
    """Reads the names of labels, one a line, in the model's order.

    Raises:
        OSError: it cannot be read.
    """
    return dict(enumerate(line.strip() for line in path.read_text(encoding="utf-8").splitlines()))
