"""The `triptych` command: puts the commands together."""

from typing import Annotated

import typer

from triptych.cli import classify, cluster, doctor, models

app = typer.Typer(
    name="triptych",
    help="Classifies images: starts a cluster on this machine, and asks one anywhere.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(cluster.up)
app.command()(cluster.down)
app.command()(cluster.status)
app.command()(classify.classify)
app.command("models")(models.models)
app.command(
    "model",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(models.model)
app.command()(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        import triptych

        typer.echo(f"triptych {triptych.__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Classifies images: starts a cluster on this machine, and asks one anywhere."""


def main() -> None:
    """Runs the command line."""
    app(prog_name="triptych")


if __name__ == "__main__":
    main()
