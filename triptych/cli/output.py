"""How commands speak: results on stdout, everything else on stderr, colour only on a terminal."""

import json
from typing import Any, NoReturn

import typer
from rich.console import Console


def out() -> Console:
    """Returns the console for results."""
    return Console(highlight=False)


def err() -> Console:
    """Returns the console for messages."""
    return Console(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    """Prints data for programs."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def complain(message: str) -> None:
    """Tells of a fault that does not end the command."""
    err().print(f"[red]error:[/red] {_plain(message)}", soft_wrap=True)


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Ends the command with a message: code 1 for a failure, 2 for wrong usage."""
    complain(message)
    raise typer.Exit(code)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
