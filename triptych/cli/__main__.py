"""The `triptych` command: puts the commands together."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from triptych.cli import (
    classify,
    cluster,
    doctor,
    experiment,
    experiment_create,
    experiment_report,
    experiment_watch,
    feedback,
    models,
    tune,
)

HELP = {"help_option_names": ["-h", "--help"]}


class Command(TyperCommand):
    """Is a command whose help shows no type for words that take no value, `--help` included."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Returns arguments and options."""
        return _untyped(super().get_params(ctx))


class Group(TyperGroup):
    """Is the group of all commands, with the same help."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Returns arguments and options."""
        return _untyped(super().get_params(ctx))


def _untyped(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


def _group(text: str, commands: Mapping[str, Callable[..., None]]) -> typer.Typer:
    group = typer.Typer(help=text, cls=Group, no_args_is_help=True, context_settings=HELP)
    for name, command in commands.items():
        group.command(name, cls=Command)(command)
    return group


app = typer.Typer(
    name="triptych",
    help="Classifies images: starts a cluster on this machine, and asks one anywhere.",
    cls=Group,
    no_args_is_help=True,
    context_settings=HELP,
)
app.command(cls=Command)(cluster.up)
app.command(cls=Command)(cluster.down)
app.command(cls=Command)(cluster.status)
app.command(cls=Command)(cluster.logs)
app.command(cls=Command)(classify.classify)
app.command("models", cls=Command)(models.models)
app.command(
    "model",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(models.model)
app.command(cls=Command)(doctor.doctor)
app.command(cls=Command)(tune.tune)
app.add_typer(
    _group(
        "Compares versions of a model while they answer requests, and says which one is better.",
        {
            "create": experiment_create.create,
            "list": experiment.list_,
            "show": experiment.show,
            "watch": experiment_watch.watch,
            "start": experiment.start,
            "weights": experiment.weights,
            "stop": experiment.stop,
            "promote": experiment.promote,
            "report": experiment_report.report,
            "delete": experiment.delete,
            "pin": experiment.pin,
            "unpin": experiment.unpin,
            "holdout": experiment.holdout,
        },
    ),
    name="experiment",
)
app.add_typer(
    _group(
        "Says what was right about answers, and gives it back as data to learn from.",
        {"send": feedback.send, "export": feedback.export, "delete": feedback.delete},
    ),
    name="feedback",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import triptych

        typer.echo(f"triptych {triptych.__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    """Classifies images: starts a cluster on this machine, and asks one anywhere."""


def main() -> None:
    """Runs the command line."""
    app(prog_name="triptych")


if __name__ == "__main__":
    main()
