"""Runs other programs, and says what they said when they fail."""

import subprocess
from collections.abc import Sequence


class CommandError(RuntimeError):
    """Says which command failed, and the end of what it wrote."""


def run(command: Sequence[str], timeout_s: float = 120, stdin: str | None = None) -> str:
    """Runs a command and returns what it wrote to its standard output.

    Raises:
        CommandError: it failed, or took too long.
    """
    try:
        done = subprocess.run(  # noqa: S603 (words of our own)
            command, input=stdin, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"`{' '.join(command)}` took more than {timeout_s:g} s") from None
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise CommandError(f"`{' '.join(command)}` ended with {done.returncode}\n{said}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Says whether a program is there and does what it is told."""
    try:
        run(command, 60)
    except (OSError, CommandError):
        return False
    return True
