"""Builds the images and proves them: `python -m tools.containers build|e2e`.

`e2e` ends with a line that counts what was shown and what was not, and with exit code 1 when anything was not.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

from tools.containers.command import CommandError
from tools.containers.engine import Engine, EngineError, find_engine
from tools.containers.images import LIMITS_MB, ROOT, build, image_name, size_line, size_mb
from tools.containers.machine import BuildSettings, build_settings
from tools.containers.project import Project, ProofError
from tools.containers.proofs import PROOFS

STATE = ROOT / ".triptych" / "containers"
"""What this machine's pip, apt and podman are told; git ignores it."""
LOGS = STATE / "logs"
"""What containers wrote when something failed."""


class Tally:
    """Runs steps one after the other, prints a line for each and counts."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def run(self, what: str, step: Callable[[], str | None]) -> bool:
        """Runs a step and says whether it succeeded."""
        start = time.monotonic()
        try:
            more = step()
        except (ProofError, CommandError, OSError) as error:
            self.failed += 1
            _say(f"FAILED  {what}\n    {error}")
            return False
        self.passed += 1
        _say(f"ok      {what} ({time.monotonic() - start:.1f} s)" + (f"\n{more}" if more else ""))
        return True


def build_all(engine: Engine, settings: BuildSettings) -> None:
    """Builds every image and prints its size."""
    for target in LIMITS_MB:
        start = time.monotonic()
        build(engine, settings, target)
        _say(f"{size_line(target, size_mb(engine, target))}, {time.monotonic() - start:.0f} s")


def prove(engine: Engine, settings: BuildSettings) -> int:
    """Builds, runs and proves everything, and leaves nothing running. Returns the exit code."""
    tally = Tally()
    built = [
        tally.run(f"{image_name(target)} is built", partial(build, engine, settings, target)) for target in LIMITS_MB
    ]
    project = Project(engine, f"triptych-e2e-{os.getpid()}")
    try:
        if all(built) and tally.run("compose starts every service", project.up):
            for proof in PROOFS:
                tally.run(_first_line(proof), partial(proof, project))
            if tally.failed:
                tally.run(f"logs are in {LOGS}", partial(project.keep_logs, LOGS))
    finally:
        tally.run("everything is taken down", project.down)
    _say(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


def _first_line(proof: Callable[[Project], str | None]) -> str:
    return (proof.__doc__ or proof.__name__).splitlines()[0]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int | str:
    """Does what the command line says. Returns the exit code, or what is wrong."""
    commands: dict[str, Callable[[Engine, BuildSettings], int | None]] = {"build": build_all, "e2e": prove}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        return f"usage: python -m tools.containers {'|'.join(commands)}"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that everything is taken down
    try:
        engine = find_engine(STATE)
        _say(f"engine: {engine('--version').strip()}")
        return commands[sys.argv[1]](engine, build_settings(STATE)) or 0
    except (EngineError, CommandError) as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(main())
