"""What is shown of a cluster."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from localcluster.state import ClusterStatus, Identity, Phase, ProcessState, ProcessStatus
from localcluster.table import Display, changes, duration, picture, print_cluster

PROCESS = ProcessStatus("preprocess", 1, ProcessState.STARTING, "", {"grpc": 9001}, pid=77, started_at=100.0)
STATUS = ClusterStatus(Phase.STARTING, Identity(1, 1), "127.0.0.1:8081", "127.0.0.1:8080", "/models", (PROCESS,))


PORTS = {"grpc": 45001, "metrics": 45002}
FULL = replace(
    STATUS,
    phase=Phase.READY,
    grpc="127.0.0.1:45101",
    http="127.0.0.1:45100",
    processes=tuple(
        ProcessStatus(name, 1, ProcessState.READY, "", PORTS, pid=1_234_567, started_at=0.0)
        for name in ("triton", "preprocess", "inference", "postprocess", "gateway")
    ),
)


def drawn(status: ClusterStatus = FULL, *, width: int = 120, now: float = 165.0) -> list[str]:
    """Returns the lines of a picture."""
    return [line.plain for line in picture(status, now, width).lines()]


def waiting(status: ClusterStatus = FULL, index: int = 0) -> ClusterStatus:
    """Returns a cluster of which one process was killed."""
    detail = "was killed by SIGKILL, starts again in 0.2 s"
    processes = list(status.processes)
    processes[index] = replace(processes[index], state=ProcessState.WAITING, pid=None, detail=detail)
    return replace(status, phase=Phase.DEGRADED, processes=tuple(processes))


def test_the_table_holds_what_people_look_for() -> None:
    """State, pid, port, uptime and addresses are in the table."""
    text = "\n".join(drawn(STATUS))
    for word in ("preprocess-1", "starting", "77", "grpc 9001", "1 min 05 s", "http://127.0.0.1:8080"):
        assert word in text


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_the_table_fits_and_names_stay_whole(width: int) -> None:
    """However narrow the terminal is, nothing is wider, and every process is named whole."""
    lines = drawn(waiting(), width=width)
    assert all(len(line) <= width for line in lines if not line.startswith("triton-1: "))
    assert {process.title for process in FULL.processes} <= {word for line in lines for word in line.split()}


def test_a_narrow_table_goes_without_the_metrics_ports_first() -> None:
    """Seventy columns hold everything but the ports for metrics."""
    assert "metrics 45002" in drawn(width=120)[2]
    assert ["triton-1", "ready", "1234567", "grpc", "45001", "0", "2", "min", "45", "s"] == drawn(width=70)[2].split()


def test_no_line_ends_in_spaces() -> None:
    """Lines hold no more than they show, so that they can be copied and never wrap."""
    assert [line.rstrip() for line in drawn()] == drawn()


def test_reasons_stand_below_the_table() -> None:
    """A long reason is a line of its own and does not widen a column."""
    lines = drawn(waiting(), width=80)
    assert "triton-1: was killed by SIGKILL, starts again in 0.2 s" in lines
    assert not any("SIGKILL" in line for line in lines[:7])


def test_who_waits_for_another_says_for_whom() -> None:
    """A process that is not ready because another is not names that one."""
    status = waiting()
    unready = replace(status.processes[2], state=ProcessState.UNREADY, detail="says that it is not ready")
    processes = (*status.processes[:2], unready, *status.processes[3:])
    assert "inference-1: needs triton-1" in drawn(replace(status, processes=processes))


@pytest.mark.parametrize("height", [1, 2, 4, 6, 8, 10, 24])
def test_the_addresses_stay_however_low_the_terminal_is(height: int) -> None:
    """A picture is never higher than the terminal, and its last lines say where the cluster is."""
    lines = [line.plain for line in picture(waiting(), 165.0, 80, ["Ctrl-C stops the cluster."]).within(height)]
    assert len(lines) <= height
    assert any("http://127.0.0.1:45100" in line for line in lines)


def test_in_a_low_terminal_those_who_are_not_ready_come_first() -> None:
    """Where not all processes fit, those are shown that need a look."""
    lines = [line.plain for line in picture(waiting(index=4), 165.0, 80).within(3)]
    assert lines[0].startswith("gateway-1")
    assert "... and 4 more" == lines[1]


def test_a_new_size_is_drawn_on_a_clean_screen() -> None:
    """After the terminal changed its size, everything is drawn anew from the upper left corner."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, height=24)
    shown = Display(console, FULL)
    console.print(shown.view())
    before, console.width = file.getvalue(), 60
    console.print(shown.view())
    assert "\x1b[2J" not in before
    assert file.getvalue().removeprefix(before).startswith("\x1b[2J\x1b[H")


def test_printed_tables_keep_everything_off_a_terminal() -> None:
    """In a file or a pipe the table has all its columns."""
    file = io.StringIO()
    print_cluster(Console(file=file, width=40), FULL)
    assert "metrics 45002" in file.getvalue()


def test_what_is_known_already_is_not_told_again() -> None:
    """A display that begins with a status tells only what changes from there."""
    file = io.StringIO()
    shown = Display(Console(file=file), FULL)
    shown.show(FULL)
    shown.show(replace(FULL, phase=Phase.STOPPING))
    assert ["cluster stopping"] == [line.partition("s  ")[2] for line in file.getvalue().splitlines()]


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
