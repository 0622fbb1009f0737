"""Options and arguments that several commands about experiments share."""

import getpass
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(metavar="NAME", help="The experiment.", show_default=False)]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the decision log.")]
Actor = Annotated[
    str | None,
    typer.Option(metavar="WHO", help="Who does it, for the decision log.", show_default="your login name"),
]


def actor_name(given: str | None) -> str:
    """Returns who acts: as given, else the login name; empty where nobody knows."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return ""
