"""`triptych feedback`: says what was right about answers, and gives it back as data to learn from."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from triptych.cli import words
from triptych.cli.connection import Connection, connected
from triptych.cli.experiment_options import Actor, Reason, actor_name
from triptych.cli.output import err, fail, out

if TYPE_CHECKING:
    from triptych import Feedback

Source = Literal["user", "annotator", "system"]
DELETED_PER_CALL = 1000


@connected
def send(
    connection: Connection,
    prediction_id: Annotated[
        str | None, typer.Argument(metavar="[PREDICTION_ID]", help="The answer that it is about.", show_default=False)
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="NAME", help="The class that is right, by name.")] = None,
    index: Annotated[
        int | None, typer.Option(min=0, metavar="INDEX", help="The class that is right, by its index in the labels.")
    ] = None,
    source: Annotated[
        Source,
        typer.Option(metavar="user|annotator|system", help="Who says so; an annotator's word goes above others."),
    ] = "user",
    feedback_id: Annotated[
        str, typer.Option("--id", metavar="ID", help="Names this feedback: the same id again is a repeat.")
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Many at once: *.csv or *.jsonl with prediction_id, label or label_index, and if wanted source, "
            "feedback_id, time.",
        ),
    ] = None,
) -> None:
    """Says what was right about an answer, or about those in a file. To send the same again does no harm."""
    from triptych import Feedback
    from triptych.cli.feedback_files import read_feedback

    if (file is None) == (prediction_id is None):
        fail("Name either a PREDICTION_ID or a --file.", code=2)
    if file is not None and (label is not None or index is not None or feedback_id):
        fail("--label, --index and --id are of one answer; in a file each line says its own.", code=2)
    try:
        given = (
            read_feedback(file, source)
            if file is not None
            else [Feedback(prediction_id or "", label, index, source, feedback_id)]
        )
    except ValueError as error:
        fail("Say what was right: --label NAME or --index INDEX." if "either" in str(error) else str(error), code=2)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.")
    _send(connection, given)


def _send(connection: Connection, given: "Sequence[Feedback]") -> None:
    from triptych.client.feedback import feedback_requests
    from triptych.experiments.v1.feedback_service_pb2_grpc import FeedbackServiceStub

    sent = unknown = 0
    with connection.line() as line, _progress(len(given)) as advance:
        method = FeedbackServiceStub(line.channel).SubmitFeedback
        try:
            for request in feedback_requests(given):
                answer = line.call(method, request, connection.timeout_s)
                for told in answer.unknown_labels:
                    err().print(f"Taken all the same: {told}", markup=False, soft_wrap=True)
                sent, unknown = sent + answer.accepted_count, unknown + answer.unknown_label_count
                advance(sent)
        finally:
            if 0 < sent < len(given):
                told = f"{sent:,} of {len(given):,} are kept; send the file again: what is kept counts once."
                err().print(told, markup=False, soft_wrap=True)
    told = f" {unknown:,} of them name a label of no model there." if unknown else ""
    out().print((f"{sent:,} taken." if sent != 1 else "Taken.") + told, soft_wrap=True)


@connected
def export(
    connection: Connection,
    folder: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FOLDER", help="Where to write; an export that is there is replaced.", show_default=False
        ),
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="Only answers of this model.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Only answers so young: 12h, 7d.")] = "",
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Also answers that nobody gave feedback for, to label them.")
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names of the labels, one a line, for feedback that gave an index only."),
    ] = None,
) -> None:
    """Writes answers with the labels that hold and their images, as `triptych model data import` reads them.

    Images are there where the gateway keeps them (TRIPTYCH_RETAIN_IMAGES); answers without one are left out.
    """
    from triptych.cli.feedback_export import ExportError, read_names, write_export
    from triptych.experiments.v1.feedback_service_pb2 import ExportFeedbackRequest
    from triptych.experiments.v1.feedback_service_pb2_grpc import FeedbackServiceStub

    request = ExportFeedbackRequest(model=model, unlabelled=unlabelled, images=True)
    try:
        if since:
            request.since.FromSeconds(int(time.time() - words.duration_s(since, "--since")))
        names = read_names(labels) if labels else None
        with connection.line() as line, _progress(None) as advance:
            answers = line.stream(FeedbackServiceStub(line.channel).ExportFeedback, request)
            outcome = write_export(folder.absolute(), _counted(answers, advance), names)
    except ValueError as error:
        fail(str(error), code=2)
    except ExportError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or folder} cannot be used: {error.strerror}.")
    _tell(folder, outcome)


def _tell(folder: Path, outcome: Any) -> None:
    counts = f"{outcome.written:,} answers, {outcome.labelled:,} of them labelled"
    out().print(f"{folder}: {counts}, {len(outcome.images):,} images.", markup=False, soft_wrap=True)
    if outcome.without_image:
        err().print(_without_image(outcome), markup=False, soft_wrap=True)
    if outcome.unnamed:
        told = f"{outcome.unnamed:,} have a label by index only; --labels names the file with the model's labels."
        err().print(told, markup=False, soft_wrap=True)
    if outcome.written:
        err().print(f"Next: triptych model data import {folder} --name NAME", style="dim", markup=False, soft_wrap=True)


def _without_image(outcome: Any) -> str:
    count = outcome.without_image
    if outcome.written:
        return f"{count:,} more have no image any more, or never had (TRIPTYCH_RETAIN_IMAGES): left out."
    return (
        f"Nothing was written: of {count:,} answers no image was kept, and there is nothing to learn from without. "
        f"Start the gateway with TRIPTYCH_RETAIN_IMAGES=all (or uncertain), and later answers have theirs, for "
        f"TRIPTYCH_IMAGE_TTL_S."
    )


@connected
def delete(
    connection: Connection,
    prediction_ids: Annotated[
        list[str], typer.Argument(metavar="PREDICTION_ID...", help="The answers to forget.", show_default=False)
    ],
    reason: Reason = "",
    actor: Actor = None,
) -> None:
    """Forgets answers for good: what was logged of them, their images and their labels, also those to come.

    The decision log tells who wanted it, why, and how many they were.
    """
    from triptych.experiments.v1.feedback_service_pb2 import DeletePredictionsRequest
    from triptych.experiments.v1.feedback_service_pb2_grpc import FeedbackServiceStub

    with connection.line() as line:
        method = FeedbackServiceStub(line.channel).DeletePredictions
        for begin in range(0, len(prediction_ids), DELETED_PER_CALL):
            page = prediction_ids[begin : begin + DELETED_PER_CALL]
            asked = DeletePredictionsRequest(prediction_ids=page, actor=actor_name(actor), reason=reason)
            line.call(method, asked, connection.timeout_s)
    out().print(f"{len(prediction_ids):,} forgotten." if len(prediction_ids) > 1 else "Forgotten.")


def _counted(answers: Iterator[Any], advance: Callable[[int], None]) -> Iterator[Any]:
    for count, answer in enumerate(answers, 1):
        yield answer
        advance(count)


@contextmanager
def _progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how far it is, where that takes a while."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    if total == 1 or not err().is_terminal:
        yield lambda _count: None
        return
    with Progress(TimeElapsedColumn(), BarColumn(), MofNCompleteColumn(), console=err(), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.update(task, completed=count)
