"""Readiness and the prober that feeds it."""

import asyncio
import time

import pytest
from fakes.servers import eventually

from servicekit.health import Prober, Readiness


class Dependency:
    """Answers a check with what it is told to."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.hangs = False
        self.asked = 0

    async def check(self) -> None:
        """Passes, fails or hangs."""
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.problem is not None:
            raise ConnectionError(self.problem)


def test_without_conditions_a_process_is_ready() -> None:
    """Nothing to wait for means ready."""
    assert Readiness().ready


def test_an_unchecked_condition_does_not_hold() -> None:
    """A named condition fails until it was checked, and says so."""
    assert {"triton": "It has not been checked yet."} == Readiness("triton").failing()


async def test_ready_when_all_hold() -> None:
    """One of two conditions is not enough."""
    readiness = Readiness("a", "b")
    await readiness.set("a", None)
    one = readiness.ready
    await readiness.set("b", None)

    assert (False, True) == (one, readiness.ready)


async def test_conditions_tell_both_kinds() -> None:
    """Every condition is listed: empty when it holds, else why not."""
    readiness = Readiness("b", "a")
    await readiness.set("b", None)
    await readiness.set("c", "Away.")

    assert {"a": "It has not been checked yet.", "b": "", "c": "Away."} == readiness.conditions()


async def test_changes_yields_at_once() -> None:
    """The first value is the present state."""
    assert await anext(Readiness().changes())


async def test_changes_yields_every_change_once() -> None:
    """A change of the sentence alone is no change of readiness."""
    readiness = Readiness("a")
    changes = readiness.changes()
    seen = [await anext(changes)]
    await readiness.set("a", "Still away.")
    await readiness.set("a", None)
    seen.append(await anext(changes))
    waiting = asyncio.ensure_future(anext(changes))
    await readiness.set("a", None)
    await readiness.set("a", "Away.")
    seen.append(await waiting)

    assert [False, True, False] == seen


async def test_two_listeners_hear_the_same() -> None:
    """Every listener is told of a change."""
    readiness = Readiness("a")
    listeners = [readiness.changes(), readiness.changes()]
    for listener in listeners:
        await anext(listener)
    waiting = [asyncio.ensure_future(anext(listener)) for listener in listeners]
    await asyncio.sleep(0)
    await readiness.set("a", None)

    assert [True, True] == await asyncio.wait_for(asyncio.gather(*waiting), 1)


def _prober(readiness: Readiness, dependency: Dependency, failures: int = 3) -> Prober:
    return Prober(readiness, "it", dependency.check, interval_s=0.01, timeout_s=0.02, failures=failures)


async def test_one_success_is_enough() -> None:
    """A condition holds after one check that passes."""
    readiness, dependency = Readiness("it"), Dependency()
    await _prober(readiness, dependency).probe()

    assert readiness.ready


async def test_lost_after_some_failures_in_a_row() -> None:
    """Fewer failures than the number change nothing; the last one does."""
    readiness, dependency = Readiness("it"), Dependency()
    prober = _prober(readiness, dependency)
    await prober.probe()
    dependency.problem = "Refused."
    seen = []
    for _ in range(3):
        await prober.probe()
        seen.append(readiness.ready)

    assert [True, True, False] == seen


async def test_a_success_forgives() -> None:
    """Failures that are not in a row do not add up."""
    readiness, dependency = Readiness("it"), Dependency()
    prober = _prober(readiness, dependency, failures=2)
    for problem in (None, "Refused.", None, "Refused."):
        dependency.problem = problem
        await prober.probe()

    assert readiness.ready


async def test_back_after_one_success() -> None:
    """What was lost is back after one check that passes."""
    readiness, dependency = Readiness("it"), Dependency()
    prober = _prober(readiness, dependency, failures=1)
    dependency.problem = "Refused."
    await prober.probe()
    lost = readiness.ready
    dependency.problem = None
    await prober.probe()

    assert (False, True) == (lost, readiness.ready)


async def test_the_sentence_is_the_checks() -> None:
    """A failing condition carries what the check said last."""
    readiness, dependency = Readiness("it"), Dependency()
    dependency.problem = "Refused."
    await _prober(readiness, dependency).probe()

    assert {"it": "Refused."} == readiness.failing()


async def test_a_hanging_check_is_a_failing_one() -> None:
    """A check that does not answer in time fails, with a sentence."""
    readiness, dependency = Readiness("it"), Dependency()
    dependency.hangs = True
    await _prober(readiness, dependency).probe()

    assert {"it": "It did not answer within 0.02 s."} == readiness.failing()


async def test_the_prober_goes_on() -> None:
    """In the background a failing check is tried again until it passes."""
    readiness, dependency = Readiness("it"), Dependency()
    dependency.problem = "Refused."
    async with _prober(readiness, dependency).running(), asyncio.timeout(2):
        changes = readiness.changes()
        await anext(changes)
        dependency.problem = None

        assert await anext(changes)


async def test_the_prober_ends_with_its_context() -> None:
    """Nothing is asked after the context closed."""
    readiness, dependency = Readiness("it"), Dependency()
    async with _prober(readiness, dependency).running():
        await asyncio.sleep(0.05)
    asked = dependency.asked
    await asyncio.sleep(0.05)

    assert asked == dependency.asked


@pytest.mark.parametrize("problem", ["", "Refused."])
async def test_a_repeated_problem_wakes_nobody(problem: str) -> None:
    """Setting the same problem twice notifies once."""
    readiness = Readiness()
    await readiness.set("a", problem)
    before = readiness.conditions()
    await readiness.set("a", problem)

    assert before == readiness.conditions()


async def test_an_ordinary_answer_excuses_a_late_check() -> None:
    """A dependency that answers calls is there, even while its checks come too late."""
    readiness, dependency = Readiness("a"), Dependency()
    prober = Prober(readiness, "a", dependency.check, timeout_s=0.02, failures=1)
    await prober.probe()
    dependency.hangs = True
    asyncio.get_running_loop().call_later(0.01, prober.answered)
    await prober.probe()
    excused = readiness.ready
    await prober.probe()

    assert (True, False) == (excused, readiness.ready)


async def test_a_busy_loop_blames_nobody() -> None:
    """A check whose time ran out because this process itself was stuck says nothing about the dependency."""
    readiness, dependency = Readiness("a"), Dependency()
    prober = Prober(readiness, "a", dependency.check, timeout_s=0.02, failures=1)
    await prober.probe()
    dependency.hangs = True
    asyncio.get_running_loop().call_soon(time.sleep, 0.3)
    await prober.probe()

    assert readiness.ready


async def test_a_refusal_is_never_excused() -> None:
    """A dependency that says no is lost, whatever it answered before."""
    readiness, dependency = Readiness("a"), Dependency()
    prober = Prober(readiness, "a", dependency.check, failures=1)
    await prober.probe()
    dependency.problem = "Stopping."
    prober.answered()
    await prober.probe()

    assert {"a": "Stopping."} == readiness.failing()


async def test_a_hurried_check_begins_at_once() -> None:
    """Whoever waits for news does not wait for the interval."""
    readiness, dependency = Readiness("a"), Dependency()
    prober = Prober(readiness, "a", dependency.check, interval_s=60)
    async with prober.running():
        await eventually(lambda: readiness.ready)
        prober.hurry()
        await eventually(lambda: 2 == dependency.asked, within_s=5)
