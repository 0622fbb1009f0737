"""The supervisor with real child processes: small Python programs that do what the test needs.

Health is a fake: a child counts as ready as long as a file with its pid exists, which it writes when it has started.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster.backoff import Backoff
from localcluster.cluster import on_signal
from localcluster.guard import Guard, guarding
from localcluster.health import Answer
from localcluster.layout import ProcessSpec
from localcluster.logfiles import tail
from localcluster.process import Health
from localcluster.state import Identity, Phase, ProcessState, ProcessStatus
from localcluster.supervisor import Pace, StartError, Supervisor

READY = "import os, pathlib, signal, sys, time; pathlib.Path(os.environ['READY']).write_text(str(os.getpid()));"
BLOCK = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]);"
WAIT = "signal.sigwait([signal.SIGTERM])"
SERVE = BLOCK + READY + WAIT
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY + "time.sleep(600)"
PARENT = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
BROKEN = "raise SystemExit('out of order')"

PACE = Pace(start_timeout_s=10, drain_timeout_s=1, backoff=lambda: Backoff(first_s=0.05, most_s=0.2))


def spec(folder: Path, name: str, program: str, drain_rank: int = 0) -> ProcessSpec:
    """Describes a child."""
    env = {"READY": str(folder / f"{name}.ready")}
    return ProcessSpec(name, 1, (sys.executable, "-c", program), env, {}, "", drain_rank=drain_rank)


async def ready_file(child: ProcessSpec) -> AsyncIterator[Answer]:
    """Says whether the process that wrote the file lives."""
    while True:
        yield Answer.SERVING if alive(pid_in(Path(child.env["READY"]))) else Answer.NOT_SERVING
        await asyncio.sleep(0.02)


def pid_in(path: Path) -> int:
    """Returns the pid that a child wrote, 0 as long as it has not."""
    return int(path.read_text() or 0) if path.exists() else 0


def alive(pid: int) -> bool:
    """Says whether a process runs."""
    try:
        return pid != 0 and Identity.of(pid).alive()
    except ProcessLookupError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that other processes do."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (they set no event)
            await asyncio.sleep(0.01)


class Recorder:
    """Keeps everything that a supervisor published."""

    def __init__(self) -> None:
        self.seen: list[tuple[Phase, tuple[ProcessStatus, ...]]] = []

    def __call__(self, phase: Phase, processes: tuple[ProcessStatus, ...]) -> None:
        """Takes what is published."""
        self.seen.append((phase, processes))

    async def until(self, wanted: Callable[[Phase, tuple[ProcessStatus, ...]], bool]) -> tuple[ProcessStatus, ...]:
        """Waits until something like this is the newest, and returns its processes."""
        await until(lambda: bool(self.seen) and wanted(*self.seen[-1]))
        return self.seen[-1][1]

    def order(self, state: ProcessState) -> list[str]:
        """Returns the names of the processes in the order in which they came into a state."""
        names: list[str] = []
        for _, processes in self.seen:
            names += [process.name for process in processes if process.state is state and process.name not in names]
        return names


@pytest.fixture
def guard() -> Iterator[Guard]:
    """Runs a guard."""
    with guarding() as running:
        yield running


@contextmanager
def _running(supervisor: Supervisor, stop: asyncio.Event) -> Iterator["asyncio.Task[None]"]:
    task = asyncio.ensure_future(supervisor.run(stop))
    try:
        yield task
    finally:
        stop.set()


async def test_all_become_ready_and_drain_by_rank(tmp_path: Path, guard: Guard) -> None:
    """The cluster is ready when every process is; each rank is gone before the next is asked to stop."""
    specs = [spec(tmp_path, name, SERVE, rank) for name, rank in (("triton", 2), ("service", 1), ("gateway", 0))]
    seen, stop = Recorder(), asyncio.Event()
    with _running(Supervisor(specs, tmp_path, guard, seen, PACE, ready_file), stop) as task:
        await seen.until(lambda phase, _: phase is Phase.READY)
    await task
    assert ["gateway", "service", "triton"] == seen.order(ProcessState.DRAINING)
    stopped = [
        {p.name for p in processes if p.state is ProcessState.STOPPED}
        for phase, processes in seen.seen
        if _draining(processes, "triton")
    ]
    assert {"gateway", "service"} == stopped[0]


def _draining(processes: tuple[ProcessStatus, ...], name: str) -> bool:
    return any(process.name == name and process.state is ProcessState.DRAINING for process in processes)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_whoever_ends_is_started_again(tmp_path: Path, guard: Guard, number: signal.Signals) -> None:
    """A process that somebody killed, or asked to stop, comes back with another pid, and the cluster is ready again."""
    seen, stop = Recorder(), asyncio.Event()
    with _running(
        Supervisor([spec(tmp_path, "service", SERVE)], tmp_path, guard, seen, PACE, ready_file), stop
    ) as task:
        (before,) = await seen.until(lambda phase, _: phase is Phase.READY)
        assert before.pid is not None
        os.kill(before.pid, number)
        (after,) = await seen.until(lambda phase, all_: phase is Phase.READY and all_[0].restarts == 1)
    await task
    assert before.pid != after.pid
    details = [processes[0].detail for _, processes in seen.seen if processes[0].state is ProcessState.WAITING]
    assert details[0].endswith("starts again in 0.1 s")


async def test_a_process_that_never_works_fails_the_start(tmp_path: Path, guard: Guard) -> None:
    """After three futile attempts the start fails: the culprit is named, its log tells why, the others are stopped."""
    specs = [spec(tmp_path, "good", SERVE), spec(tmp_path, "bad", BROKEN)]
    with pytest.raises(StartError, match="bad-1 ended with code 1") as caught:
        await Supervisor(specs, tmp_path, guard, Recorder(), PACE, ready_file).run(asyncio.Event())
    assert "out of order" in "".join(tail(Path(caught.value.process.log)))
    assert not alive(pid_in(tmp_path / "good.ready"))


async def test_the_start_goes_on_without_what_is_optional(tmp_path: Path, guard: Guard) -> None:
    """An optional process that only ends leaves the cluster degraded; the others serve, and it is tried again."""
    seen, stop = Recorder(), asyncio.Event()
    specs = [spec(tmp_path, "good", SERVE), replace(spec(tmp_path, "bad", BROKEN), optional=True)]
    with _running(Supervisor(specs, tmp_path, guard, seen, PACE, ready_file), stop) as task:
        good, bad = await seen.until(lambda phase, found: phase is Phase.DEGRADED and found[1].restarts > 3)
    assert (ProcessState.READY, True) == (good.state, bad.optional)
    await task


async def test_an_optional_process_that_is_late_is_not_waited_for(tmp_path: Path, guard: Guard) -> None:
    """When the time is up the cluster serves without it, and is ready once it is."""
    seen, stop, pace = Recorder(), asyncio.Event(), replace(PACE, start_timeout_s=0.5)
    late = "import time; time.sleep(1);" + SERVE
    specs = [spec(tmp_path, "good", SERVE), replace(spec(tmp_path, "late", late), optional=True)]
    with _running(Supervisor(specs, tmp_path, guard, seen, pace, ready_file), stop) as task:
        await seen.until(lambda phase, _: phase is Phase.READY)
    await task
    phases = [phase for phase, _ in seen.seen]
    assert phases.index(Phase.DEGRADED) < phases.index(Phase.READY)


async def test_a_process_that_is_never_ready_fails_the_start(tmp_path: Path, guard: Guard) -> None:
    """A process that runs and never becomes ready is named when the time is up."""
    pace = Pace(start_timeout_s=0.5, drain_timeout_s=1)
    idle = spec(tmp_path, "idle", BLOCK + WAIT)
    with pytest.raises(StartError, match=r"idle-1 was not ready within 0\.5 s"):
        await Supervisor([idle], tmp_path, guard, Recorder(), pace, ready_file).run(asyncio.Event())


async def test_a_process_that_loaded_in_vain_fails_the_start_at_once(tmp_path: Path, guard: Guard) -> None:
    """A process that loads before it answers, and then says that it is not ready, is not waited for."""

    async def refusing(_: ProcessSpec) -> AsyncIterator[Answer]:
        while True:
            yield Answer.NOT_SERVING
            await asyncio.sleep(0.01)

    server = replace(spec(tmp_path, "triton", SERVE), loads_first=True)
    with pytest.raises(StartError, match="triton-1 could not load all it should serve"):
        await Supervisor([server], tmp_path, guard, Recorder(), PACE, refusing).run(asyncio.Event())


def falling(last: Answer, after: int = 3) -> Health:
    """Returns checks that are answered with yes a few times after each start, and then end otherwise for good."""

    async def health(child: ProcessSpec) -> AsyncIterator[Answer]:
        left = after
        async for answer in ready_file(child):
            yield answer
            left -= answer is Answer.SERVING
            if left == 0:
                break
        while True:
            yield last
            await asyncio.sleep(0.02)

    return health


async def test_a_process_that_hangs_is_started_again(tmp_path: Path, guard: Guard) -> None:
    """A process that was ready and answers no more checks is killed, that is said, and another takes its place."""
    seen, stop = Recorder(), asyncio.Event()
    pace = replace(PACE, silence_s=0.3)
    health = falling(Answer.SILENT)
    with _running(Supervisor([spec(tmp_path, "hung", SERVE)], tmp_path, guard, seen, pace, health), stop) as task:
        await seen.until(lambda _, all_: all_[0].restarts == 1)
    await task
    details = [processes[0].detail for _, processes in seen.seen if processes[0].state is ProcessState.WAITING]
    assert details[0].startswith("did not answer for 0.3 s, starts again in")


@pytest.mark.parametrize("answer", [Answer.NOT_SERVING, Answer.ABSENT])
async def test_who_says_no_or_stops_listening_is_left_alone(tmp_path: Path, guard: Guard, answer: Answer) -> None:
    """A process that answers that it is not ready, or drains and listens no more, is not killed."""
    seen, stop = Recorder(), asyncio.Event()
    pace = replace(PACE, silence_s=0.1)
    checks = counted(falling(answer))
    with _running(Supervisor([spec(tmp_path, "calm", SERVE)], tmp_path, guard, seen, pace, checks), stop) as task:
        await until(lambda: checks.count > 50)
        assert (0, ProcessState.UNREADY) == (seen.seen[-1][1][0].restarts, seen.seen[-1][1][0].state)
    await task


async def test_who_still_starts_may_be_silent(tmp_path: Path, guard: Guard) -> None:
    """A process that was never ready is not killed for its silence."""

    async def silent(_: ProcessSpec) -> AsyncIterator[Answer]:
        while True:
            yield Answer.SILENT
            await asyncio.sleep(0.02)

    seen, stop = Recorder(), asyncio.Event()
    pace, checks = replace(PACE, silence_s=0.1), counted(silent)
    with _running(Supervisor([spec(tmp_path, "slow", SERVE)], tmp_path, guard, seen, pace, checks), stop) as task:
        await until(lambda: checks.count > 50)
        assert 0 == seen.seen[-1][1][0].restarts
    await task


class counted:  # noqa: N801 (used like a function)
    """Counts checks."""

    def __init__(self, health: Health) -> None:
        self.count = 0
        self._health = health

    async def __call__(self, child: ProcessSpec) -> AsyncIterator[Answer]:
        """Passes the answers on."""
        async for answer in self._health(child):
            self.count += 1
            yield answer


async def test_a_process_that_does_not_drain_is_killed(tmp_path: Path, guard: Guard) -> None:
    """The drain is bounded."""
    seen, stop = Recorder(), asyncio.Event()
    with _running(Supervisor([spec(tmp_path, "deaf", DEAF)], tmp_path, guard, seen, PACE, ready_file), stop) as task:
        (process,) = await seen.until(lambda phase, _: phase is Phase.READY)
    began = time.monotonic()
    await task
    assert time.monotonic() - began < 5
    assert not alive(process.pid or 0)


async def test_what_a_process_leaves_behind_goes_too(tmp_path: Path, guard: Guard) -> None:
    """The child of a child does not survive it."""
    program = BLOCK + PARENT + READY + "print(child.pid, flush=True);" + WAIT
    seen, stop = Recorder(), asyncio.Event()
    with _running(
        Supervisor([spec(tmp_path, "parent", program)], tmp_path, guard, seen, PACE, ready_file), stop
    ) as task:
        (process,) = await seen.until(lambda phase, _: phase is Phase.READY)
        await until(lambda: pid_in(Path(process.log)) != 0)
    await task
    await until(lambda: not alive(pid_in(Path(process.log))))


SUPERVISOR = """
import asyncio, json, logging, sys
from pathlib import Path
from localcluster import guard
from localcluster.health import Answer
from localcluster.layout import ProcessSpec
from localcluster.supervisor import Supervisor

async def health(spec):
    while True:
        yield Answer.SERVING if Path(spec.env["READY"]).exists() else Answer.NOT_SERVING
        await asyncio.sleep(0.02)

folder = Path(sys.argv[1])
specs = [ProcessSpec(name, 1, (sys.executable, "-c", program), {"READY": str(folder / f"{name}.ready")}, {}, "")
         for name, program in json.loads(sys.argv[2]).items()]
with guard.guarding(grace_s=0.5) as running:
    asyncio.run(Supervisor(specs, folder, running, lambda *_: None, health=health).run(asyncio.Event()))
"""


async def test_nobody_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """A supervisor that is killed takes along its children, a child's child, and a child that ignores SIGTERM."""
    family = PARENT + READY + "pathlib.Path(os.environ['READY'] + '.child').write_text(str(child.pid)); time.sleep(600)"
    programs = json.dumps({"plain": READY + "time.sleep(600)", "family": family, "deaf": DEAF})
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path), programs]
    files = [tmp_path / name for name in ("plain.ready", "family.ready", "family.ready.child", "deaf.ready")]
    supervisor = await asyncio.create_subprocess_exec(*command)
    await until(lambda: all(map(pid_in, files)))
    assert all(alive(pid_in(file)) for file in files)
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not any(alive(pid_in(file)) for file in files))


@pytest.mark.parametrize(
    ("numbers", "killed"),
    [
        ([signal.SIGHUP], False),
        ([signal.SIGHUP, signal.SIGHUP], False),
        ([signal.SIGINT, signal.SIGHUP], False),
        ([signal.SIGHUP, signal.SIGTERM], True),
        ([signal.SIGINT, signal.SIGINT], True),
    ],
)
async def test_a_closed_terminal_drains(
    tmp_path: Path, guard: Guard, numbers: list[signal.Signals], killed: bool
) -> None:
    """A terminal that closes hangs up, perhaps twice, and the cluster drains; only a second Ctrl-C or SIGTERM kills."""
    kills: list[signal.Signals] = []
    supervisor, stop = Supervisor([], tmp_path, guard, Recorder(), PACE, ready_file), asyncio.Event()
    supervisor.kill = lambda: kills.append(signal.SIGKILL)  # type: ignore[method-assign] # only to be counted
    for number in numbers:
        on_signal(number, stop, supervisor)
    assert (True, killed) == (stop.is_set(), bool(kills))
