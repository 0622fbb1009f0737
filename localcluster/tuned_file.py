"""The file with a machine's best settings: `triptych tune` writes it, `triptych up` starts clusters with it.

People can read it and change it. Settings for another machine or model are worth nothing, so it says what it is about.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from localcluster.machine import Machine
from localcluster.triton_command import ENGINE_THREADS

DECODE_THREADS = "TRIPTYCH_DECODE_THREADS"
MAX_MESSAGES = "TRIPTYCH_MAX_MESSAGES"
MAX_MESSAGE_IMAGES = "TRIPTYCH_MAX_MESSAGE_IMAGES"
VARIABLES = (MAX_MESSAGES, ENGINE_THREADS, DECODE_THREADS, MAX_MESSAGE_IMAGES)
"""What can be tuned, what matters most first."""

_HEAD = """\
# The settings that `triptych tune` found best on this machine. `triptych up` starts with them, below the variables of
# your own environment; `triptych up --no-tuned`, or without this file, it does not.
"""
_FACT = re.compile(r"# (date|cpu|cores|model|measured): (.+)")


class TunedFileError(ValueError):
    """Says which line of the file is wrong, and why."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """Holds the settings, and where they come from."""

    settings: Mapping[str, str]
    """By variable; empty where the defaults are best."""
    machine: Machine
    model: str
    """The one that answered."""
    day: date
    measured: str
    """What they are worth, for people."""

    def text(self) -> str:
        """Returns the content of the file."""
        facts = {
            "date": self.day.isoformat(),
            "cpu": self.machine.cpu,
            "cores": self.machine.cores,
            "model": self.model,
            "measured": self.measured,
        }
        lines = [f"# {name}: {value}" for name, value in facts.items()]
        lines += [f"{variable}={value}" for variable, value in self.settings.items()]
        return _HEAD + "\n".join(lines) + "\n"


def tuned_path(folder: Path, *, colocated: bool) -> Path:
    """Returns the file for a mode of running: what is best for one is not for the other."""
    return folder / ("tuned-colocated.env" if colocated else "tuned.env")


def write(path: Path, tuned: Tuned) -> None:
    """Writes the file; readers see the old one or the new one, never a part.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(tuned.text())
    partial.replace(path)


def read(path: Path) -> Tuned | None:
    """Reads the file; None when there is none.

    Raises:
        TunedFileError: a line is wrong or missing.
        OSError: it cannot be read.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    facts = {fact[1]: fact[2] for fact in map(_FACT.fullmatch, lines) if fact}
    settings = dict(_setting(path, number, line) for number, line in enumerate(lines, 1) if _counts(line))
    try:
        machine = Machine(facts["cpu"], int(facts["cores"]))
        day = date.fromisoformat(facts["date"])
        return Tuned(settings, machine, facts["model"], day, facts.get("measured", ""))
    except (KeyError, ValueError):
        raise TunedFileError(
            f"{path}: no lines `# date: 2026-01-31`, `# cpu: ...`, `# cores: 2` and `# model: ...` say what it is "
            "about. Delete it, or let `triptych tune` write it anew."
        ) from None


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _setting(path: Path, number: int, line: str) -> tuple[str, str]:
    variable, _, value = (part.strip() for part in line.partition("="))
    if variable not in VARIABLES:
        raise TunedFileError(f"{path}, line {number}: {variable!r} is none of {', '.join(VARIABLES)}.")
    if not value.isdecimal() or int(value) < 1:
        raise TunedFileError(f"{path}, line {number}: {variable} wants a number of at least 1, not {value!r}.")
    return variable, value
