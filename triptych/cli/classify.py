"""`triptych classify`: photographs in, a table or JSON out."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triptych.cli.options import Json, Server, StateDir, Timeout, server_address
from triptych.cli.output import fail, out, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from triptych import Classification, ClassifyError

BAR_WIDTH = 24


def classify(  # noqa: PLR0917 (Typer's options)
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Image files; `-` reads one from stdin.")],
    top_k: Annotated[int | None, typer.Option(min=1, max=1000, show_default="5", help="Most labels per image.")] = None,
    min_score: Annotated[float | None, typer.Option(min=0, max=1, help="Least score of a label.")] = None,
    model: Annotated[str, typer.Option(help="Name of the model.", show_default="the gateway's")] = "",
    version: Annotated[str, typer.Option(help="Version of the model.", show_default="the newest")] = "",
    json: Json = False,
    server: Server = None,
    timeout: Timeout = 10.0,
    state_dir: StateDir = None,
) -> None:
    """Says what is on photographs."""
    from triptych import ClassifyError, Client

    images = [read(file) for file in files]
    address = server_address(server, state_dir)
    try:
        with Client(address) as client:
            options: dict[str, Any] = {"model": model, "version": version, "top_k": top_k, "min_score": min_score}
            results = client.classify_many(images, **options, timeout_s=timeout)
    except ClassifyError as error:
        fail(explain(error, files, address))
    if json:
        found = [asdict(result) for result in results]
        print_json(found[0] if len(files) == 1 else found)
    else:
        for file, result in zip(files, results, strict=True):
            out().print(view(file, result))


def read(file: str) -> bytes:
    """Returns the content of a file, or of stdin for `-`; ends the command when there is none."""
    from triptych.client.requests import read_image

    try:
        return read_image(sys.stdin.buffer if file == "-" else file)
    except OSError as error:
        fail(f"{file}: {error.strerror}", code=2)


def explain(error: "ClassifyError", files: list[str], address: str) -> str:
    """Returns a sentence for a person, with what to do where that is known."""
    if error.code == "UNAVAILABLE" and not error.reason:
        return f"Nothing answers at {address}. Start a cluster with `triptych up`, or name one with --server."
    index = error.field.removeprefix("images[").partition("]")[0]
    name = files[int(index)] if error.field.startswith("images[") and len(files) <= 32 else ""
    where = f"{name}: " if name else ""
    return f"{where}{error.message} ({error.reason or error.code}, request {error.request_id})"


def view(title: str, result: "Classification") -> "RenderableType":
    """Returns a result as a table with bars."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    heading = Text.assemble((title, "bold"), f"  {result.model} {result.version}, {result.timing.total_ms:.1f} ms")
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
    return Group(heading, table, "")


def bar(score: float) -> str:
    """Draws a score, in eighths of a character."""
    eighths = round(score * BAR_WIDTH * 8)
    return "[cyan]" + "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip() + "[/cyan]"
