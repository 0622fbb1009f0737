"""What is shown of a cluster."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from localcluster.state import ClusterStatus, Identity, Phase, ProcessState, ProcessStatus
from localcluster.table import Display, changes, cluster_view, duration

PROCESS = ProcessStatus("preprocess", 1, ProcessState.STARTING, "", {"grpc": 9001}, pid=77, started_at=100.0)
STATUS = ClusterStatus(Phase.STARTING, Identity(1, 1), "127.0.0.1:8081", "127.0.0.1:8080", "/models", (PROCESS,))


def test_the_table_holds_what_people_look_for() -> None:
    """State, pid, port, uptime and addresses are in the table."""
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(cluster_view(STATUS, now=165.0))
    for word in ("preprocess-1", "starting", "77", "grpc 9001", "1 min 05 s", "http://127.0.0.1:8080"):
        assert word in capture.get()


def test_only_changes_become_lines() -> None:
    """A process that did not change writes no line."""
    after = replace(
        STATUS, phase=Phase.READY, processes=(PROCESS, replace(PROCESS, replica=2, state=ProcessState.READY))
    )
    assert ["preprocess-2 ready (pid 77)", "cluster ready"] == changes(STATUS, after)


def test_a_restart_says_why() -> None:
    """The line of a process that ended names the reason."""
    waiting = replace(PROCESS, state=ProcessState.WAITING, pid=None, detail="ended with code 1, starts again in 0.2 s")
    expected = ["preprocess-1 waiting: ended with code 1, starts again in 0.2 s"]
    assert expected == changes(STATUS, replace(STATUS, processes=(waiting,)))


def test_off_a_terminal_lines_are_plain() -> None:
    """A pipe gets no escape sequences."""
    file = io.StringIO()
    Display(Console(file=file)).show(STATUS)
    assert "preprocess-1 starting (pid 77)" in file.getvalue()
    assert "\x1b" not in file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.9, "59 s"), (200, "3 min 20 s"), (18_120, "5 h 02 min")]
)
def test_durations_read_like_speech(seconds: float, text: str) -> None:
    """Lengths of time have the unit that fits."""
    assert text == duration(seconds)
