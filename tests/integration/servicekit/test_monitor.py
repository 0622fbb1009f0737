"""What machines ask a process over plain HTTP, and the program that containers ask with."""

import asyncio
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes.processes import ROOT
from fakes.servers import settings

from servicekit import probe
from servicekit.health import Readiness
from servicekit.monitor import start_monitor
from servicekit.settings import ProcessSettings

LOOPBACK = "127.0.0.1"


def _get(port: int, path: str, host: str = LOOPBACK) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def _ask(port: int, path: str, host: str = LOOPBACK) -> tuple[int, str]:
    return await asyncio.to_thread(_get, port, path, host)


async def test_a_ready_process_says_so() -> None:
    """With every condition holding, /readyz is 200."""
    readiness = Readiness("triton")
    port = start_monitor(settings(), readiness)
    await readiness.set("triton", None)

    assert (200, "ready\n") == await _ask(port, "/readyz")


async def test_conditions_that_do_not_hold_are_named() -> None:
    """/readyz is 503 with their names, and none of their details."""
    readiness = Readiness("preprocess", "triton")
    port = start_monitor(settings(), readiness)
    await readiness.set("triton", "10.0.0.7 refused the connection.")

    assert (503, "not ready: preprocess, triton\n") == await _ask(port, "/readyz")


async def test_a_process_that_waits_is_alive() -> None:
    """/healthz asks for no condition."""
    assert (200, "alive\n") == await _ask(start_monitor(settings(), Readiness("triton")), "/healthz")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_hung_event_loop_is_not_alive(path: str) -> None:
    """While the event loop does not turn, both say 503 within a second or so."""
    port = start_monitor(settings(), Readiness())
    with ThreadPoolExecutor() as elsewhere:
        status, text = elsewhere.submit(_get, port, path).result(5)  # which holds this loop until the answer is there

    assert (503, True) == (status, "event loop" in text)


async def test_prometheus_finds_its_metrics() -> None:
    """/metrics has those of the process."""
    status, text = await _ask(start_monitor(settings(), Readiness()), "/metrics")

    assert (200, True) == (status, "process_open_fds" in text)


async def test_other_paths_are_unknown() -> None:
    """What is not there is 404, and the answer says what is."""
    status, text = await _ask(start_monitor(settings(), Readiness()), "/favicon.ico")

    assert (404, "There are /healthz, /readyz and /metrics.\n") == (status, text)


async def test_ipv6_is_listened_on() -> None:
    """An address of IPv6 works, in gRPC's brackets too."""
    assert 200 == (await _ask(start_monitor(settings(host="[::1]"), Readiness()), "/healthz", "[::1]"))[0]


async def test_a_taken_port_is_an_error() -> None:
    """The sentence says where, and that it is about metrics."""
    port = start_monitor(settings(), Readiness())
    with pytest.raises(OSError, match=f"{LOOPBACK}:{port} for metrics"):
        start_monitor(ProcessSettings(metrics_port=port), Readiness())


async def test_the_probe_passes_when_the_process_is_well() -> None:
    """What it prints is nothing."""
    port = start_monitor(settings(), Readiness())

    assert "" == await asyncio.to_thread(probe.main, "/readyz", "0.0.0.0", str(port))  # noqa: S104 (as containers set it)


async def test_the_probe_says_what_is_wrong() -> None:
    """What it prints is the process's own line."""
    port = start_monitor(settings(), Readiness("triton"))

    assert "not ready: triton" == await asyncio.to_thread(probe.main, "/readyz", LOOPBACK, str(port))


@pytest.mark.parametrize(("port", "problem"), [("", "TRIPTYCH_METRICS_PORT must"), ("1", "/readyz on port 1:")])
def test_the_probe_fails_when_nobody_answers(port: str, problem: str) -> None:
    """A port that is not set, or not listened on, is told in a line."""
    assert probe.main("/readyz", LOOPBACK, port).startswith(problem)


async def test_the_probe_is_a_program() -> None:
    """`python -m servicekit.probe PATH` exits with 1 and the reason, or with 0."""
    port = start_monitor(settings(), Readiness("triton"))
    ended = [await _run(path, port) for path in ("/readyz", "/healthz")]

    assert [(1, b"not ready: triton\n"), (0, b"")] == ended


async def _run(path: str, port: int) -> tuple[int | None, bytes]:
    command = (sys.executable, "-m", "servicekit.probe", path)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env={"TRIPTYCH_METRICS_PORT": str(port)}, cwd=ROOT, stderr=pipe
    )
    _, errors = await process.communicate()
    return process.returncode, errors
