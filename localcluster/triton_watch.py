"""Tells when a Triton has lost a process of its Python backend: it neither says so nor ever starts another.

Such a stub runs one instance of a model. A dead one stays a zombie, since Triton waits only for those that it has
stopped itself, when it unloads a model or ends. `/proc` tells one from the other.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

STUB = "triton_python_backend_stub"[:15]  # the kernel keeps that much of a name
PROC = Path("/proc")
INTERVAL_S = 0.5


def stubs(pid: int, proc: Path = PROC) -> set[int]:
    """Returns the stubs that a Triton has and that run."""
    return {child for child, state in _stubs(pid, proc) if state not in "ZX"}


def dead_stubs(pid: int, proc: Path = PROC) -> set[int]:
    """Returns the stubs of a Triton that have ended without its waiting for them."""
    return {child for child, state in _stubs(pid, proc) if state in "ZX"}


async def until_stub_dies(pid: int, interval_s: float = INTERVAL_S, proc: Path = PROC) -> str:
    """Returns when a stub has died, and says so: it is found dead twice, as one told to end is dead for a moment too.

    What to do then is to kill Triton: asked to end, it waits for the dead stub until its exit timeout.
    """
    before: set[int] = set()
    while True:
        dead = await asyncio.to_thread(dead_stubs, pid, proc)
        if dead & before:
            return "lost a process of its Python backend"
        before = dead
        await asyncio.sleep(interval_s)


def _stubs(pid: int, proc: Path) -> Iterator[tuple[int, str]]:
    """Yields each stub's pid and state."""
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            line = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        name, _, rest = line.partition(" (")[2].rpartition(") ")
        state, parent, *_ = rest.split()
        if name == STUB and int(parent) == pid:
            yield int(folder.name), state
