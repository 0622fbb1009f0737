"""Asks a served model about every picture of the training split, once, and keeps what it said.

What a gateway returns are calibrated probabilities. Their logarithms are the logits over the version's temperature,
less a constant of each row, which no softmax sees.
"""

import fcntl
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from modelkit.data.records import NO_LABEL
from modelkit.train.pixels import Source
from modelkit.train.recipe import RecipeError, Served
from servicekit.manifest import Recipe as Input
from services.preprocess.formats.header import Format
from services.preprocess.headers import Limits, read_header
from services.preprocess.transforms import header_to_array
from triptych import ClassifyError, Client
from triptych.client.results import Classification

if TYPE_CHECKING:  # which imports this module
    from modelkit.train.loop import Watch

Logits = npt.NDArray[np.float32]

_CALL = 32
"""Pictures in one call: as many as a gateway takes."""
_CALLS = 4
"""Under way at once."""
_TIMEOUT_S = 60.0
_LEAST = 1e-30
"""Probability that stands for none."""
_CLOSE = 0.05
"""Most that a logarithm may have moved since the answers were kept: engines differ in the last digits."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Says which pictures a teacher is asked about."""

    dataset: Source
    pictures: int
    """Labelled ones of `train`, the first."""
    cache: Path
    """Folder of this dataset version, where answers are kept."""
    mirrored: bool
    """Whether it is asked about the mirror images, too."""

    @property
    def views(self) -> tuple[str, ...]:
        """Names the ways in which each picture is shown."""
        return ("plain", "mirrored") if self.mirrored else ("plain",)

    def images(self, view: str) -> Iterator[bytes]:
        """Returns the encoded pictures as they are, or mirrored."""
        labelled = (record.image for record in self.dataset.records("train") if record.label != NO_LABEL)
        first = islice(labelled, self.pictures)
        return first if view == "plain" else map(mirror, first)

    def file(self, teacher: Served, view: str) -> Path:
        """Returns where a teacher's answers are kept: rows of fp32."""
        return self.cache / f"answers-{teacher.model}-{teacher.version}-{self.pictures}-{view}.raw"


@dataclass(frozen=True, slots=True)
class Answers:
    """Is what a teacher said."""

    views: tuple[Logits, ...]
    """Of the pictures, and of their mirror images where it was asked about those: `[n, classes]` each."""

    def of(self, rows: npt.NDArray[np.int64], mirrored: npt.NDArray[np.bool_]) -> torch.Tensor:
        """Returns the answers to some pictures, fp32 `[rows, classes]`."""
        plain = torch.from_numpy(self.views[0][rows])
        if len(self.views) == 1:
            return plain
        return torch.where(torch.from_numpy(mirrored)[:, None], torch.from_numpy(self.views[1][rows]), plain)


def ask(teacher: Served, questions: Questions, gateway: str, watch: "Watch") -> None:
    """Has a teacher answer, unless it has; an asking that was cut off goes on where it was.

    Raises:
        RecipeError: the gateway does not answer, the version is not served, or it tells other classes apart.
    """
    questions.cache.mkdir(parents=True, exist_ok=True)
    try:
        with Client(gateway) as client:
            for view in questions.views:
                _ask_view(_Lesson(client, teacher, questions, view), watch)
    except ClassifyError as error:
        raise RecipeError(
            f"the teacher {teacher.model}:{teacher.version} at {gateway} cannot be asked: {error}"
        ) from error
    except ValueError as error:
        raise RecipeError(f"the teacher {teacher.model}:{teacher.version} at {gateway}: {error}") from error


def read_answers(teacher: Served, questions: Questions) -> Answers:
    """Returns what `ask` kept."""
    shape = (questions.pictures, len(questions.dataset.labels))
    files = [questions.file(teacher, view) for view in questions.views]
    return Answers(tuple(np.memmap(file, np.float32, mode="r", shape=shape) for file in files))


@dataclass(frozen=True, slots=True)
class _Lesson:
    client: Client
    teacher: Served
    questions: Questions
    view: str

    def ask(self, images: list[bytes]) -> Logits:
        classes = self.questions.dataset.labels
        named = {"model": self.teacher.model, "version": self.teacher.version}
        answers = self.client.classify_many(images, **named, top_k=len(classes), min_score=0.0, timeout_s=_TIMEOUT_S)
        return np.stack([_logits(answer, classes) for answer in answers])


def _ask_view(lesson: _Lesson, watch: "Watch") -> None:
    """Asks about one view. What is kept is replaced whole or not at all: a training may be reading it."""
    questions = lesson.questions
    kept = questions.file(lesson.teacher, lesson.view)
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another training may ask the same teacher
        first = lesson.ask(list(islice(questions.images(lesson.view), _CALL)))
        if kept.exists() and _same(first, np.fromfile(kept, np.float32, first.size)):
            return
        with kept.with_suffix(".part").open("a+b") as file:
            _complete(lesson, file, first, watch)
        kept.with_suffix(".part").replace(kept)


def _complete(lesson: _Lesson, file: io.BufferedRandom, first: Logits, watch: "Watch") -> None:
    done = _whole_rows(file, first, 4 * len(lesson.questions.dataset.labels))
    for answers in _rest(lesson, done):
        file.write(answers.tobytes())
        done += len(answers)
        watch(done, lesson.questions.pictures, f"asks {lesson.teacher.model}, {lesson.view} pictures")
    file.flush()
    os.fsync(file.fileno())


def _whole_rows(file: io.BufferedRandom, first: Logits, width: int) -> int:
    """Cuts off what was not written whole, or all if another teacher wrote it; returns the rows that are left."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    same = size >= first.nbytes and _same(first, np.frombuffer(file.read(first.nbytes), np.float32))
    rows = size // width if same else 0
    file.truncate(rows * width)
    return rows


def _rest(lesson: _Lesson, done: int) -> Iterator[Logits]:
    """Asks about all pictures but the first ones, a few calls at once, and returns the answers in order."""
    images = islice(lesson.questions.images(lesson.view), done, None)
    with ThreadPoolExecutor(_CALLS) as pool:
        while some := list(islice(images, _CALL * _CALLS)):
            calls = [some[start : start + _CALL] for start in range(0, len(some), _CALL)]
            yield from pool.map(lesson.ask, calls)


def _same(first: Logits, kept: Logits) -> bool:
    return first.size == kept.size and bool(np.abs(first.ravel() - kept).max() <= _CLOSE)


def _logits(answer: Classification, classes: tuple[str, ...]) -> Logits:
    told = sorted(answer.predictions, key=lambda each: each.index)
    if tuple(each.label for each in told) != classes:
        raise ValueError(f"it tells {len(told)} classes apart, which are not the {len(classes)} of the data set")
    return np.log(np.maximum([each.score for each in told], _LEAST)).astype(np.float32)


def mirror(content: bytes) -> bytes:
    """Returns an encoded picture's mirror image, upright and whole: as JPEG where the picture is one, else as PNG.

    Raises:
        InvalidArgument: as `image_to_array`.
    """
    header = read_header(content, Limits())
    width, height = (header.width_px, header.height_px)[:: -1 if header.turned else 1]
    pixels = header_to_array(header, Input(width=width, height=height, crop=1.0)).pixels
    file, image = io.BytesIO(), Image.fromarray(pixels[:, ::-1])
    if header.format is Format.JPEG:
        image.save(file, "JPEG", quality=95, subsampling=0)
    else:
        image.save(file, "PNG", compress_level=1)
    return file.getvalue()
