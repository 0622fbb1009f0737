"""Which stubs a Triton has, and when one is dead: by real processes that bear the name of a stub."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.triton_watch import dead_stubs, stubs, until_stub_dies

pytestmark = pytest.mark.unit


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a child of this process that is named like a stub."""
    program = tmp_path / "triton_python_backend_stub"
    program.symlink_to(str(shutil.which("sleep")))
    with subprocess.Popen([program, "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Runs a child with another name."""
    with subprocess.Popen([str(shutil.which("sleep")), "600"]) as process:
        yield process
        process.kill()


def _await_end(process: subprocess.Popen[bytes]) -> None:
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # and leaves the zombie where it is


def test_stubs_are_the_children_of_that_name(stub: subprocess.Popen[bytes], other: subprocess.Popen[bytes]) -> None:
    """Other children, and the stubs of another process, are not meant."""
    assert ({stub.pid}, set()) == (stubs(os.getpid()), stubs(other.pid))


def test_a_stub_that_nobody_waited_for_is_dead(stub: subprocess.Popen[bytes]) -> None:
    """A killed stub is a zombie below its Triton."""
    stub.kill()
    _await_end(stub)

    assert ({stub.pid}, set()) == (dead_stubs(os.getpid()), stubs(os.getpid()))


def test_a_stub_that_was_waited_for_is_gone(stub: subprocess.Popen[bytes]) -> None:
    """Triton waits for the stubs of a model that it unloads: these are nobody's loss."""
    stub.kill()
    stub.wait()

    assert (set(), set()) == (dead_stubs(os.getpid()), stubs(os.getpid()))


async def test_the_death_of_a_stub_is_told(stub: subprocess.Popen[bytes]) -> None:
    """The wait lasts while the stub lives, and ends after it has died."""
    wait = asyncio.ensure_future(until_stub_dies(os.getpid(), interval_s=0.01))
    done, _ = await asyncio.wait({wait}, timeout=0.1)
    stub.kill()

    assert not done
    await asyncio.wait_for(wait, 5)


async def test_a_stub_that_ends_in_order_is_not_told(stub: subprocess.Popen[bytes]) -> None:
    """Being dead for one look only is how every ordered end looks."""
    stub.kill()
    _await_end(stub)
    wait = asyncio.ensure_future(until_stub_dies(os.getpid(), interval_s=0.2))
    await asyncio.wait({wait}, timeout=0.1)
    stub.wait()
    done, _ = await asyncio.wait({wait}, timeout=0.4)
    wait.cancel()

    assert not done
