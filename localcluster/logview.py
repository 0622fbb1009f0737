"""Reads the logs of several processes as one."""

from collections.abc import Collection
from pathlib import Path

from localcluster.logfiles import LogReader
from localcluster.loglines import moment

Line = tuple[str, str]
"""The name of a process, and what it wrote."""

SUPERVISOR = "supervisor"
"""Has a log too when it runs in the background; shown when it is asked for by name."""


class UnknownProcessError(ValueError):
    """Says which processes have logs."""


class LogView:
    """Follows the logs of a cluster's processes, also of those that begin later."""

    def __init__(self, folder: Path, names: Collection[str] = ()) -> None:
        """Prepares to read; opens nothing.

        Args:
            folder: where the logs are.
            names: processes to show, such as `gateway-1`, or `preprocess` for all its replicas; empty shows all.
        """
        self._folder = folder
        self._names = frozenset(names)
        self._readers: dict[Path, LogReader] = {}

    def check(self) -> None:
        """Looks whether there is a log for each name.

        Raises:
            UnknownProcessError: there is none.
        """
        known = [path.stem for path in self._files()]
        if absent := sorted(name for name in self._names if not any(_is(title, name) for title in known)):
            has = f"there are logs of {', '.join(known)}" if known else "there are no logs yet"
            raise UnknownProcessError(f"There is no log of {', '.join(absent)} in {self._folder}; {has}.")

    def read(self, lines: int | None = None) -> list[Line]:
        """Returns what was added since the last call, by time where lines say theirs.

        Args:
            lines: at most so many of each process, the last ones.
        """
        added: list[tuple[str, str, str]] = []
        for path in self._chosen():
            found = self._readers.setdefault(path, LogReader(path)).read()
            added += _stamped(path.stem, found if lines is None else found[max(0, len(found) - lines) :])
        added.sort(key=lambda item: item[0])  # stable: lines of one moment stay together
        return [(title, line) for _, title, line in added]

    def _chosen(self) -> list[Path]:
        if not self._names:
            return [path for path in self._files() if path.stem != SUPERVISOR]
        return [path for path in self._files() if any(_is(path.stem, name) for name in self._names)]

    def _files(self) -> list[Path]:
        return sorted([*self._folder.glob("*-[0-9]*.log"), *self._folder.glob(f"{SUPERVISOR}.log")])


def _is(title: str, name: str) -> bool:
    return name in (title, title.rpartition("-")[0])


def _stamped(title: str, lines: list[str]) -> list[tuple[str, str, str]]:
    """Gives each line its time; one that says none, such as a traceback's, has that of the line before."""
    stamped, last = [], ""
    for line in lines:
        last = moment(line) or last
        stamped.append((last, title, line))
    return stamped
