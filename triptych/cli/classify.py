"""`triptych classify`: photographs in, a table or JSON out."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triptych.cli.connection import Connection, connected, explain, told
from triptych.cli.options import Json
from triptych.cli.output import complain, fail, out, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from triptych import Classification, ClassifyError, Client
    from triptych.cli.photographs import Photograph, Photographs

BAR_WIDTH = 24
BATCH = 32
"""Files that are read and asked about together."""


@connected
def classify(
    connection: Connection,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Image files, or folders of them; `-` reads one image from stdin."),
    ],
    top_k: Annotated[
        int | None, typer.Option(min=1, max=1000, metavar="N", show_default="5", help="Most labels per image.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="SCORE", help="Least score of a label.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Name of the model.", show_default="the gateway's")] = "",
    version: Annotated[
        str, typer.Option(metavar="VERSION", help="Version of the model.", show_default="the default one")
    ] = "",
    json: Json = False,
) -> None:
    """Says what is on photographs. A file at fault is told on stderr; the others are answered all the same."""
    from triptych import ClassifyError, Client
    from triptych.cli.photographs import Photographs, UsageError, batches

    options: dict[str, Any] = {"model": model, "version": version, "top_k": top_k, "min_score": min_score}
    try:
        photographs = Photographs(files, complain)
    except UsageError as error:
        fail(str(error), code=2)
    answers = Answers(json=json, one=photographs.one)
    try:
        with Client(connection.gateway.address, tls=connection.tls) as client:
            asked = Asked(client, {**options, "timeout_s": connection.timeout_s}, photographs)
            for batch in batches(photographs, BATCH):
                answers.add(list(asked.answers(batch)))
    except ClassifyError as error:
        answers.end()
        fail(explain(error, connection.gateway))
    answers.end()
    raise typer.Exit(1 if photographs.faults else 0)


class Asked:
    """Asks about photographs, and about each one alone where one in a batch is at fault."""

    def __init__(self, client: "Client", options: dict[str, Any], photographs: "Photographs") -> None:
        self._client = client
        self._options = options
        self._photographs = photographs

    def answers(self, batch: "list[Photograph]") -> "Iterator[tuple[str, Classification]]":
        """Yields the name and the answer of each photograph that has one.

        Raises:
            ClassifyError: the failure is not one photograph's.
        """
        from triptych import ClassifyError

        try:
            results = self._client.classify_many([content for _, content in batch], **self._options)
        except ClassifyError as error:
            if not _of_an_image(error):
                raise
            if len(batch) == 1:
                self._photographs.fault(batch[0][0], told(error))
                return
        else:
            yield from ((name, result) for (name, _), result in zip(batch, results, strict=True))
            return
        for photograph in batch:
            yield from self.answers([photograph])


def _of_an_image(error: "ClassifyError") -> bool:
    too_large = error.code == "RESOURCE_EXHAUSTED" and not error.reason
    return error.field.startswith("images[") or too_large


class Answers:
    """Prints the answers, as they come or, for JSON, in the end."""

    def __init__(self, *, json: bool, one: bool) -> None:
        self._json = json
        self._one = one
        self._found: list[dict[str, Any]] = []

    def add(self, answers: "list[tuple[str, Classification]]") -> None:
        """Takes the answers of a batch."""
        if self._json:
            self._found += [{"file": name, **asdict(result)} for name, result in answers]
            return
        for name, result in answers:
            out().print(heading(name, result, timed=len(answers) == 1), soft_wrap=True)
            out().print(view(result))
        if len(answers) > 1:  # the gateway's time is that of the whole call
            slowest = max(result.timing.total_ms for _, result in answers)
            out().print(f"{len(answers)} images in {slowest:.1f} ms", style="dim")

    def end(self) -> None:
        """Prints what is left to print."""
        if not self._json:
            return
        if not self._one:
            print_json(self._found)
        elif self._found:
            print_json(self._found[0])


def heading(title: str, result: "Classification", *, timed: bool) -> "Text":
    """Returns the line above a result: the image, who answered and, for a single image, how long it took."""
    from rich.text import Text

    time = f", {result.timing.total_ms:.1f} ms" if timed else ""
    return Text.assemble((title, "bold"), f"  {result.model} version {result.version}{time}")


def view(result: "Classification") -> "RenderableType":
    """Returns a result as a table with bars."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for prediction in result.predictions:
        table.add_row(
            f"{prediction.score:6.1%}",
            bar(prediction.score),
            escape(prediction.label),
            f"[dim]{prediction.index}[/dim]",
        )
    if not result.predictions:
        table.add_row("[dim]no label reaches --min-score[/dim]")
    return Group(table, "")


def bar(score: float) -> str:
    """Draws a score, in eighths of a character."""
    eighths = round(score * BAR_WIDTH * 8)
    return "[cyan]" + "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip() + "[/cyan]"
