"""Sees to it that no process outlives its supervisor, however that ends.

The kernel asks every child to stop when the supervisor is gone (`leash`). What does not follow, and what children
have started and leave behind, is ended by the guard: a small process in a session of its own that holds one end of a
pipe. As long as the supervisor lives the other end is open; when it closes, the guard gives the process groups it was
told of some time to drain, and then kills them.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

GRACE_S = 15.0


class Guard:
    """Tells the guard process which groups there are."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe

    def add(self, group: int) -> None:
        """Puts a process group under guard."""
        self._tell(f"+{group}")

    def remove(self, group: int) -> None:
        """Says that a group is gone; its number may soon be another's."""
        self._tell(f"-{group}")

    def _tell(self, word: str) -> None:
        with suppress(BrokenPipeError):  # somebody killed the guard: the kernel's half still works
            self._pipe.write(f"{word}\n")
            self._pipe.flush()


@contextmanager
def guarding(grace_s: float = GRACE_S) -> Iterator[Guard]:
    """Runs a guard while the context is open."""
    command = [sys.executable, "-IS", __file__, str(grace_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True) as process:  # noqa: S603 (ours)
        yield Guard(cast("IO[str]", process.stdin))


def survivors(words: Iterable[str]) -> set[int]:
    """Returns the groups that were added and not removed."""
    groups: set[int] = set()
    for word in words:
        group = int(word[1:])
        if word.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    return groups


def main(grace_s: float) -> None:
    """Waits for the end of the supervisor, then for the end of its groups, and kills what is left."""
    groups = survivors(sys.stdin)
    deadline = time.monotonic() + grace_s
    while groups and time.monotonic() < deadline:
        time.sleep(0.1)
        groups = {group for group in groups if signal_group(group, 0)}
    for group in groups:
        signal_group(group, signal.SIGKILL)


def signal_group(group: int, number: int) -> bool:
    """Sends a signal to a group; says whether there is one."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main(float(sys.argv[1]))
