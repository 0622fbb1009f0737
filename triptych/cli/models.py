"""`triptych models` and `triptych model`: what is served, and the life of models."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from triptych.cli.connection import Connection, connected, explain
from triptych.cli.options import Json
from triptych.cli.output import fail, out, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from triptych import Model, ModelVersion


@connected
def models(connection: Connection, json: Json = False) -> None:
    """Lists the models that can be asked."""
    from triptych import ClassifyError, Client

    try:
        with Client(connection.gateway.address, tls=connection.tls) as client:
            found = client.models(timeout_s=connection.timeout_s)
    except ClassifyError as error:
        fail(explain(error, connection.gateway))
    if json:
        print_json([asdict(model) for model in found])
    else:
        out().print(view(found))
        for line in complaints(found):
            out().print(line, style="yellow", markup=False, soft_wrap=True)


def complaints(found: "list[Model]") -> list[str]:
    """Says why versions are not ready, a line for each."""
    return [
        f"{model.name} {version.version}: {version.detail}"
        for model in found
        for version in model.versions
        if not version.ready and version.detail
    ]


def view(found: "list[Model]") -> "Table":
    """Returns the models as a table, one row per version."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in ("model", "version", "state", "backend", "input", "classes"):
        table.add_column(heading, no_wrap=heading == "model")
    for model in found:
        for version in model.versions:
            table.add_row(*_row(model, version))
    return table


def _row(model: "Model", version: "ModelVersion") -> tuple[str, ...]:
    return (
        f"{model.name}{' (default)' if model.default else ''}",
        version.version,
        "[green]ready[/green]" if version.ready else "[yellow]not ready[/yellow]",
        version.backend or "-",
        f"{model.input_width_px} x {model.input_height_px}",
        str(model.class_count),
    )


def model(context: typer.Context) -> None:
    """Imports and publishes models; `triptych model --help` tells more."""
    try:
        from modelkit.cli import app
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed: pip install 'triptych[modelkit]'")
    try:
        app(args=context.args, prog_name="triptych model")
    except OSError as error:  # a full disk, a folder that may not be written to
        fail(f"{error.filename or 'writing or reading'}: {error.strerror or error}")
