"""Runs the commands that a person would type, one after the other or as many at once as there are cores."""

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.workload import ROOT


class CommandError(Exception):
    """Says that a command ended otherwise than it should, and what it said."""


@dataclass(frozen=True, slots=True)
class Done:
    """Is a command that was run."""

    command: str
    seconds: float
    output: str


@dataclass
class Shell:
    """Runs `triptych` commands in one folder."""

    python: Path
    """Of the environment with PyTorch."""
    folder: Path
    done: list[Done] = field(default_factory=list)

    def __call__(self, *words: str | Path, refused_by: str = "") -> Done:
        """Runs one command.

        Args:
            words: what follows `triptych`.
            refused_by: the gate that should refuse first, with status 1; empty for none.

        Raises:
            CommandError: it ended with another status.
        """
        command = " ".join(map(str, ("triptych", *words))).replace(f"{ROOT}/", "")
        begin = time.monotonic()
        ended = subprocess.run(  # noqa: S603 -- our own commands
            [self.python, "-m", "triptych.cli", *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        done = Done(command, time.monotonic() - begin, ended.stdout)
        sys.stdout.write(f"{done.seconds:7.1f} s  $ {command}\n")
        sys.stdout.flush()
        sentence = f"error: the {refused_by} gate: " if refused_by else ""
        if ended.returncode != int(bool(refused_by)) or sentence not in ended.stdout:
            raise CommandError(f"{command}\nended with status {ended.returncode}:\n{ended.stdout[-4000:]}")
        self.done.append(done)
        return done

    def at_once(self, commands: Sequence[Sequence[str | Path]], cores: int) -> None:
        """Runs commands that need nothing of each other, the first ones first.

        Raises:
            CommandError: one ended with another status than 0; what is under way is waited for, no other is begun.
        """
        with ThreadPoolExecutor(cores) as pool:
            try:
                for each in as_completed([pool.submit(self, *command) for command in commands]):
                    each.result()
            except CommandError:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
