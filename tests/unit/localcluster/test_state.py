"""State: what a cluster leaves for other programs to read."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster.state import (
    AlreadyRunningError,
    ClusterStatus,
    Identity,
    Phase,
    ProcessState,
    ProcessStatus,
    StateDirectory,
)

PROCESS = ProcessStatus(
    "preprocess", 2, ProcessState.READY, "/logs/preprocess-2.log", {"grpc": 1}, pid=7, started_at=1.5
)


def status(supervisor: Identity | None = None) -> ClusterStatus:
    """Returns the status of a cluster that this test supervises."""
    own = supervisor or Identity.of(os.getpid())
    return ClusterStatus(Phase.READY, own, "127.0.0.1:8081", "127.0.0.1:8080", "/models", (PROCESS,))


def test_status_survives_the_file(tmp_path: Path) -> None:
    """What is read is what was written."""
    StateDirectory(tmp_path).write(status())
    assert status() == StateDirectory(tmp_path).read()


@pytest.mark.parametrize(
    ("phase", "optional", "expected"),
    [
        (Phase.READY, False, True),
        (Phase.DEGRADED, True, True),
        (Phase.DEGRADED, False, False),
        (Phase.STARTING, True, False),
    ],
)
def test_a_cluster_serves_without_what_is_optional(phase: Phase, optional: bool, expected: bool) -> None:
    """A process that is not ready counts where requests need it, and nothing counts before the start is over."""
    state = ProcessState.READY if phase is Phase.READY else ProcessState.WAITING
    other = replace(PROCESS, state=state, optional=optional)
    assert expected == replace(status(), phase=phase, processes=(PROCESS, other)).serving


def test_a_partial_file_is_never_seen(tmp_path: Path) -> None:
    """Nothing but cluster.json is left after a write."""
    StateDirectory(tmp_path).write(status())
    assert ["cluster.json"] == [path.name for path in tmp_path.iterdir()]


def test_a_full_disk_leaves_the_old_status(tmp_path: Path) -> None:
    """The supervisor goes on, and what was written before can be read."""
    state = StateDirectory(tmp_path)
    state.write(status())
    (tmp_path / "cluster.partial").symlink_to("/dev/full")
    state.write(replace(status(), phase=Phase.DEGRADED))
    assert status() == state.read()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"phase": "elsewhere"}'])
def test_a_strange_file_counts_as_none(tmp_path: Path, text: str) -> None:
    """A file that another release wrote does not break this one."""
    (tmp_path / "cluster.json").write_text(text)
    assert StateDirectory(tmp_path).read() is None


def test_a_reused_pid_is_not_the_supervisor(tmp_path: Path) -> None:
    """A process with the supervisor's pid and another start time is not taken for it."""
    own = Identity.of(os.getpid())
    StateDirectory(tmp_path).write(status(replace(own, start_ticks=own.start_ticks - 1)))
    assert StateDirectory(tmp_path).running() is None


def test_a_lost_supervisor_is_told(tmp_path: Path) -> None:
    """A cluster whose supervisor vanished reads as failed."""
    StateDirectory(tmp_path).write(status(Identity(2**22 + 1, 0)))
    found = StateDirectory(tmp_path).read()
    assert found is not None
    assert (Phase.FAILED, ()) == (found.phase, found.processes)


def test_one_supervisor_per_folder(tmp_path: Path) -> None:
    """The second supervisor of a folder is refused; after the first has ended there is room again."""
    state = StateDirectory(tmp_path)
    with state.locked(), pytest.raises(AlreadyRunningError), state.locked():
        pass
    with state.locked():
        pass
