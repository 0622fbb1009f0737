"""Single flight: identical work in flight is done once, and nobody's leaving, lateness or failure touches who stays."""

import asyncio
import contextlib
import gc
import itertools
import logging
import weakref
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from gateway.single_flight import SingleFlight
from servicekit import context
from servicekit.errors import Cancelled, DeadlineExceeded, Internal, Unavailable

KEY = ("model", "1", b"digest")
LATE = [DeadlineExceeded("The leader's time ran out."), Cancelled("The leader left."), asyncio.CancelledError()]


class Work:
    """Is a computation that ends when told, and counts how often it began and was cancelled."""

    def __init__(self) -> None:
        self.began: list[asyncio.Future[object]] = []
        self.cancelled = 0

    async def make(self) -> object:
        """Waits for its end."""
        self.began.append(asyncio.get_running_loop().create_future())
        try:
            return await self.began[-1]
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def _turn() -> None:
    """Lets every task that can go on do so, until none can."""
    for _ in range(8):
        await asyncio.sleep(0)


async def _callers(count: int, flights: SingleFlight[object], work: Work) -> list[asyncio.Task[object]]:
    tasks = [asyncio.create_task(flights.run(KEY, work.make)) for _ in range(count)]
    await _turn()
    return tasks


async def _with_time(seconds: float, call: Coroutine[Any, Any, object]) -> object:
    """Makes a call whose deadline is `seconds` from now."""
    context.set_deadline(seconds)
    return await call


def _shared() -> float:
    return REGISTRY.get_sample_value("triptych_shared_answers_total") or 0.0


async def test_many_callers_share_one_computation() -> None:
    """A hundred callers begin one computation and get its very object; all but one are counted as shared."""
    flights, work, answer, before = SingleFlight[object](), Work(), object(), _shared()
    callers = await _callers(100, flights, work)
    work.began[0].set_result(answer)
    answers = await asyncio.gather(*callers)

    assert 1 == len(work.began)
    assert all(answer is each for each in answers)
    assert before + 99 == _shared()
    assert 0 == len(flights)


async def test_other_work_is_apart() -> None:
    """Another key is another computation."""
    flights, work = SingleFlight[object](), Work()
    callers = [asyncio.create_task(flights.run(key, work.make)) for key in ("a", "b")]
    await _turn()
    assert 2 == len(flights)
    for number, each in enumerate(work.began):
        each.set_result(number)

    assert [0, 1] == await asyncio.gather(*callers)


async def test_nothing_is_remembered() -> None:
    """Who comes after the end begins anew: even at the moment of the end, before anybody who waited has gone on."""
    flights, work = SingleFlight[object](), Work()
    (first,) = await _callers(1, flights, work)
    work.began[0].set_exception(Internal("It failed."))
    second = asyncio.create_task(flights.run(KEY, work.make))  # runs between the task's end and the news of it
    await _turn()
    work.began[1].set_result("second")

    with pytest.raises(Internal, match="It failed"):
        await first
    assert "second" == await second
    assert 0 == len(flights)


async def test_a_failure_reaches_all_who_wait_and_nobody_later() -> None:
    """One error ends all calls; the next call computes again."""
    flights, work = SingleFlight[object](), Work()
    callers = await _callers(3, flights, work)
    work.began[0].set_exception(Unavailable("Away."))
    failures = await asyncio.gather(*callers, return_exceptions=True)
    assert [Unavailable] * 3 == [type(each) for each in failures]
    (later,) = await _callers(1, flights, work)
    work.began[1].set_result("back")

    assert "back" == await later


@pytest.mark.parametrize("leavers", [set(each) for size in range(4) for each in itertools.combinations(range(3), size)])
async def test_leaving_touches_nobody_else(leavers: set[int]) -> None:
    """Whoever of three leaves, who stays is answered; only when all have left is the work cancelled."""
    flights, work = SingleFlight[object](), Work()
    callers = await _callers(3, flights, work)
    for index in leavers:
        callers[index].cancel()
    await _turn()
    all_left = len(leavers) == 3
    assert int(all_left) == work.cancelled
    assert int(not all_left) == len(flights)
    if not all_left:
        work.began[0].set_result("answer")
    answers = await asyncio.gather(*callers, return_exceptions=True)

    assert leavers == {index for index, each in enumerate(answers) if isinstance(each, asyncio.CancelledError)}
    assert 3 - len(leavers) == answers.count("answer")
    assert 0 == len(flights)


async def test_nobody_joins_what_is_being_cancelled() -> None:
    """While a deserted computation cleans up, the next caller begins another, which outlives the news of its end."""
    flights, work, cleaned = SingleFlight[object](), Work(), asyncio.Event()

    async def slow_to_go() -> object:
        try:
            return await work.make()
        finally:
            await cleaned.wait()

    first = asyncio.create_task(flights.run(KEY, slow_to_go))
    await _turn()
    first.cancel()
    await _turn()
    second, third = await _callers(2, flights, work)
    assert 1 == work.cancelled
    assert 2 == len(work.began)
    cleaned.set()
    await _turn()
    assert 1 == len(flights)
    work.began[1].set_result("answer")

    assert ["answer"] * 2 == list(await asyncio.gather(second, third))


async def test_an_error_that_nobody_waits_for_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    """A computation that answers its cancellation with an error does not end in asyncio's log."""
    flights, work = SingleFlight[object](), Work()

    async def fails_when_cancelled() -> object:
        try:
            return await work.make()
        except asyncio.CancelledError:
            raise Internal("It broke on its way out.") from None

    caller = asyncio.create_task(flights.run(KEY, fails_when_cancelled))
    await _turn()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    del caller  # its traceback holds the computation, whose end is what asyncio looks at
    with caplog.at_level(logging.ERROR, "asyncio"):
        await _turn()
        gc.collect()

    assert [] == caplog.records


@pytest.mark.parametrize("late", LATE, ids=lambda error: type(error).__name__)
async def test_the_first_callers_lack_of_time_is_not_the_others(late: BaseException) -> None:
    """When the computation ends for want of its leader's time, those who have time share a second one."""
    flights, work = SingleFlight[object](), Work()

    async def leaders() -> object:
        work.began.append(asyncio.get_running_loop().create_future())
        await work.began[-1]
        raise late

    leader = asyncio.create_task(flights.run(KEY, leaders))
    await _turn()
    patient = [asyncio.create_task(_with_time(60, flights.run(KEY, work.make))) for _ in range(3)]
    hurried = asyncio.create_task(_with_time(-1, flights.run(KEY, work.make)))
    await _turn()
    assert 1 == len(work.began)
    work.began[0].set_result(None)
    await _turn()
    assert 2 == len(work.began)
    work.began[1].set_result("answer")

    assert ["answer"] * 3 == await asyncio.gather(*patient)
    for each in (leader, hurried):
        with pytest.raises(type(late)):
            await each
    assert 0 == len(flights)


async def test_the_computation_runs_in_its_leaders_context() -> None:
    """Request id and deadline are of the caller who began it, whoever joins."""
    flights, go = SingleFlight[object](), asyncio.Event()

    async def look() -> object:
        await go.wait()
        current = context.current()
        return current and current.request_id, context.time_left_s() < 60

    async def call(request_id: str, timeout_s: float) -> object:
        context.enter(context.accept(request_id, None))
        return await _with_time(timeout_s, flights.run(KEY, look))

    callers = [asyncio.create_task(call("first", 50)), asyncio.create_task(call("second", 500))]
    await _turn()
    go.set()

    assert [("first", True)] * 2 == await asyncio.gather(*callers)


class Picture:
    """Is something large that a computation holds."""


@pytest.mark.parametrize("callers", [1, 3])
@pytest.mark.parametrize("fails", [False, True])
async def test_memory_goes_with_the_last_caller(fails: bool, callers: int) -> None:
    """Without the garbage collector's help: no answer and no error's traceback keeps what the computation held."""
    flights = SingleFlight[object]()
    alive: list[weakref.ref[object]] = []

    async def make() -> object:
        picture = Picture()
        alive.append(weakref.ref(picture))
        await asyncio.sleep(0)
        if not fails:
            return picture
        error = Internal("It failed.")
        alive.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    async def call() -> None:
        with contextlib.suppress(Internal):
            await flights.run(KEY, make)

    gc.disable()
    try:
        await asyncio.gather(*(call() for _ in range(callers)))
        await _turn()
        assert {None} == {each() for each in alive}
    finally:
        gc.enable()


ACTS = st.lists(st.tuples(st.sampled_from(["call", "leave", "end", "fail"]), st.integers(0, 2)), max_size=40)


@given(ACTS)
def test_any_history_computes_once_and_leaves_nothing(acts: list[tuple[str, int]]) -> None:
    """Callers come and go and work ends in any order: one computation per key at a time, and none without a caller."""

    async def play() -> None:
        flights = SingleFlight[object]()
        works = [Work(), Work(), Work()]
        waiting: list[list[asyncio.Task[object]]] = [[], [], []]
        for act, which in acts:
            work, callers = works[which], waiting[which]
            if act == "call":
                callers.append(asyncio.create_task(flights.run(which, work.make)))
            elif act == "leave" and callers:
                callers.pop(0).cancel()
            elif callers:
                outcome = len(work.began)
                if act == "end":
                    work.began[-1].set_result(outcome)
                else:
                    work.began[-1].set_exception(Internal(str(outcome)))
                ended = await asyncio.gather(*callers, return_exceptions=True)
                assert {str(outcome)} == {str(each) for each in ended}
                callers.clear()
            await _turn()
            assert sum(map(bool, waiting)) == len(flights)
            running = sum(not future.done() for each in works for future in each.began)
            assert len(flights) == running
        for task in itertools.chain(*waiting):
            task.cancel()
        await _turn()
        assert 0 == len(flights)
        assert {asyncio.current_task()} == asyncio.all_tasks()

    asyncio.run(play())


async def test_a_failure_when_the_first_callers_time_is_over_is_not_shared() -> None:
    """Whatever ended a computation at its first caller's deadline, who has more time begins anew."""
    flights: SingleFlight[str] = SingleFlight()
    joined = asyncio.Event()
    runs = 0

    async def make() -> str:
        nonlocal runs
        runs += 1
        if runs > 1:
            return "answer"
        await joined.wait()
        await asyncio.sleep(max(0.0, context.time_left_s()))
        raise Unavailable("Away.")

    async def ask(timeout_s: float) -> str:
        context.set_deadline(timeout_s)
        return await flights.run("key", make)

    first = asyncio.create_task(ask(0.05))
    await asyncio.sleep(0)
    second = asyncio.create_task(ask(10))
    await asyncio.sleep(0)
    joined.set()

    assert "answer" == await second
    with pytest.raises(Unavailable):
        await first
