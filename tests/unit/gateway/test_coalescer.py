"""Batches between hops: who travels with whom, who waits for what, and what becomes of each."""

import asyncio
import gc
import math
import weakref
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.coalescer import Bounds, Coalescer
from servicekit import context
from servicekit.errors import Internal, InvalidArgument, Reason, TriptychError, Unavailable

LONG_S = 1000.0
"""Is never waited for."""


async def _turns() -> None:
    """Lets everything run that can: nothing here waits for anything but the loop's turns."""
    for _ in range(12):
        await asyncio.sleep(0)


@dataclass(eq=False)
class _Message:
    key: str
    items: list[str]
    timeout_s: float
    asking: context.RequestContext | None
    answer: asyncio.Future[Sequence[str | TriptychError]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    called_off: bool = False

    def answered(self) -> None:
        """Answers each item with itself in capitals."""
        self.answer.set_result([item.upper() for item in self.items])


class _Wire:
    """Is where messages go: it remembers and holds them until they are answered."""

    def __init__(self, *, messages: int = 1, items: int = 4, size: int = 100) -> None:
        self.sent: list[_Message] = []
        self.room = messages
        bounds = Bounds(items, size, lambda: self.room)
        self.coalescer: Coalescer[str, str, str] = Coalescer(self._send, len, bounds)

    async def _send(self, key: str, items: Sequence[str], timeout_s: float) -> Sequence[str | TriptychError]:
        message = _Message(key, list(items), timeout_s, context.current())
        self.sent.append(message)
        try:
            return await message.answer
        except asyncio.CancelledError:
            message.called_off = True
            raise

    @property
    def batches(self) -> list[list[str]]:
        """Returns the items of every message that was sent, in order."""
        return [message.items for message in self.sent]

    def asks(self, *items: str, key: str = "k") -> asyncio.Task[list[str | TriptychError]]:
        """Begins a call."""
        return asyncio.ensure_future(self.coalescer.run(key, items))

    async def held(self) -> asyncio.Task[list[str | TriptychError]]:
        """Sends a message that keeps others waiting."""
        call = self.asks("held")
        await _turns()
        return call

    async def answered(self) -> None:
        """Answers messages until none comes any more."""
        while waiting := [message for message in self.sent if not message.answer.done()]:
            for message in waiting:
                message.answered()
            await _turns()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.coalescer.PATIENCE_S", LONG_S)


async def test_an_item_goes_at_once_and_alone() -> None:
    """When nothing is under way nothing is waited for."""
    wire = _Wire()
    call = wire.asks("a")
    await _turns()

    assert [["a"]] == wire.batches
    await wire.answered()
    assert ["A"] == await call


async def test_one_call_is_one_message() -> None:
    """Items of one caller travel together, and their results come in order."""
    wire = _Wire()
    call = wire.asks("a", "b", "c")
    await _turns()

    assert [["a", "b", "c"]] == wire.batches
    await wire.answered()
    assert ["A", "B", "C"] == await call


async def test_no_items_are_no_message() -> None:
    """A call for nothing is answered with nothing, and holds nobody."""
    wire = _Wire()

    assert [] == await wire.coalescer.run("k", [])
    assert [] == wire.batches


async def test_who_asks_in_the_same_turn_travels_together() -> None:
    """Callers that the event loop finds ready at once share a message, also when idle."""
    wire = _Wire()
    calls = [wire.asks(letter) for letter in "abc"]
    await _turns()

    assert [["a", "b", "c"]] == wire.batches
    await wire.answered()
    assert [["A"], ["B"], ["C"]] == [await call for call in calls]


async def test_who_waits_goes_together() -> None:
    """While as many messages as allowed are under way, further items gather for the next one."""
    wire = _Wire(messages=2)
    calls = [await wire.held(), await wire.held()]
    for letters in ("a", "bc", "d"):
        calls.append(wire.asks(*letters))
        await _turns()

    assert [["held"], ["held"]] == wire.batches
    await wire.answered()
    assert [["held"], ["held"], ["a", "b", "c", "d"]] == wire.batches
    assert [["HELD"], ["HELD"], ["A"], ["B", "C"], ["D"]] == [await call for call in calls]


async def test_a_message_that_comes_back_makes_room_for_one() -> None:
    """There are never more under way than allowed."""
    wire = _Wire(messages=2, items=1)
    calls = [wire.asks(letter) for letter in "abcd"]
    await _turns()
    assert [["a"], ["b"]] == wire.batches
    wire.sent[1].answered()
    await _turns()

    assert [["a"], ["b"], ["c"]] == wire.batches
    await wire.answered()
    assert ["A", "B", "C", "D"] == [(await call)[0] for call in calls]


async def test_the_room_may_change() -> None:
    """How many may be under way is asked each time, not once."""
    wire = _Wire(messages=1, items=1)
    calls = [wire.asks(letter) for letter in "abc"]
    await _turns()
    wire.room = 2
    wire.sent[0].answered()
    await _turns()

    assert [["a"], ["b"], ["c"]] == wire.batches
    await wire.answered()
    await asyncio.gather(*calls)


async def test_a_message_has_at_most_so_many_items() -> None:
    """A large call is cut, and comes back whole and in order."""
    wire = _Wire(messages=9, items=3)
    call = wire.asks(*"abcdefgh")
    await _turns()

    assert [["a", "b", "c"], ["d", "e", "f"], ["g", "h"]] == wire.batches
    for message in reversed(wire.sent):
        message.answered()
    assert list("ABCDEFGH") == await call


async def test_a_message_has_at_most_so_many_bytes() -> None:
    """Items go together up to the limit, the limit itself included."""
    wire = _Wire(messages=9, size=5)
    call = wire.asks("aa", "bbb", "cccc", "dd")
    await _turns()

    assert [["aa", "bbb"], ["cccc"], ["dd"]] == wire.batches
    await wire.answered()
    await call


async def test_an_item_above_the_limit_goes_alone() -> None:
    """What cannot be smaller is sent as it is."""
    wire = _Wire(messages=9, size=5)
    call = wire.asks("a", "b" * 50, "c")
    await _turns()

    assert [["a"], ["b" * 50], ["c"]] == wire.batches
    await wire.answered()
    await call


async def test_a_message_has_one_key() -> None:
    """Items of several keys never meet."""
    wire = _Wire(messages=9)
    calls = [wire.asks(letter, key=key) for letter, key in zip("abcd", "xyxy", strict=True)]
    await _turns()

    assert [("x", ["a", "c"]), ("y", ["b", "d"])] == [(message.key, message.items) for message in wire.sent]
    await wire.answered()
    await asyncio.gather(*calls)


async def test_keys_take_turns() -> None:
    """A key with much to send goes to the end of the line after each message, so that no other starves."""
    wire = _Wire(items=2)
    calls = [
        await wire.held(),
        wire.asks(*"abcdef", key="busy"),
        wire.asks("g", key="rare"),
        wire.asks("h", key="last"),
    ]
    await _turns()
    await wire.answered()

    assert [["held"], ["a", "b"], ["g"], ["h"], ["c", "d"], ["e", "f"]] == wire.batches
    assert list("ABCDEF") == await calls[1]


async def test_a_caller_that_leaves_before_is_not_sent() -> None:
    """Its items stay, the others go, and each gets its own."""
    wire = _Wire()
    held, first, leaver, last = await wire.held(), wire.asks("a"), wire.asks("b", "c"), wire.asks("d")
    await _turns()
    leaver.cancel()
    await wire.answered()

    assert [["held"], ["a", "d"]] == wire.batches
    assert [["HELD"], ["A"], ["D"]] == [await held, await first, await last]


async def test_when_all_leave_before_nothing_is_sent() -> None:
    """A key that nobody asks for any more holds up nobody: the next one has its turn at once."""
    wire = _Wire()
    held, leavers, other = await wire.held(), [wire.asks("a"), wire.asks("b")], wire.asks("c", key="other")
    await _turns()
    for leaver in leavers:
        leaver.cancel()
    await wire.answered()

    assert [["held"], ["c"]] == wire.batches
    assert [["HELD"], ["C"]] == [await held, await other]


async def test_a_caller_that_leaves_its_message_leaves_it_to_the_others() -> None:
    """A message with somebody left to answer goes on."""
    wire = _Wire()
    leaver, stayer = wire.asks("a"), wire.asks("b")
    await _turns()
    leaver.cancel()
    await _turns()
    wire.sent[0].answered()

    assert ["B"] == await stayer
    assert (True, False) == (leaver.cancelled(), wire.sent[0].called_off)


async def test_a_message_that_all_have_left_is_called_off() -> None:
    """The last caller that leaves ends it, and its place is free."""
    wire = _Wire()
    leavers = [wire.asks("a"), wire.asks("b")]
    await _turns()
    leavers[0].cancel()
    await _turns()
    assert not wire.sent[0].called_off
    leavers[1].cancel()
    await _turns()
    assert wire.sent[0].called_off
    after = wire.asks("c")
    await _turns()

    assert [["a", "b"], ["c"]] == wire.batches
    wire.sent[1].answered()
    assert ["C"] == await after


async def test_a_call_in_two_messages_calls_off_both() -> None:
    """Whoever leaves while several of its messages are under way leaves them all; what has not left never does."""
    wire = _Wire(messages=2, items=2)
    leaver = wire.asks(*"abcdef")
    await _turns()
    leaver.cancel()
    await _turns()

    assert [["a", "b"], ["c", "d"]] == wire.batches
    assert all(message.called_off for message in wire.sent)


@pytest.mark.parametrize("turns", range(8))
async def test_leaving_at_any_moment_frees_the_place(turns: int) -> None:
    """However far a lone caller has come when it leaves, the next one is sent."""
    wire = _Wire(messages=1)
    leaver = wire.asks("a")
    for _ in range(turns):
        await asyncio.sleep(0)
    leaver.cancel()
    await _turns()
    after = wire.asks("b")
    await _turns()

    assert ["b"] == wire.batches[-1]
    wire.sent[-1].answered()
    assert ["B"] == await after


async def test_a_messages_error_is_everybodys() -> None:
    """What befell the message befell each item, of each caller."""
    wire = _Wire()
    calls = [wire.asks("a", "b"), wire.asks("c")]
    await _turns()
    error = Unavailable("Away.")
    wire.sent[0].answer.set_exception(error)

    assert [[error, error], [error]] == [await call for call in calls]


async def test_an_items_error_is_its_own() -> None:
    """Who travelled with it gets results."""
    wire = _Wire()
    calls = [wire.asks("a", "b"), wire.asks("c"), wire.asks("d")]
    await _turns()
    error = InvalidArgument("Damaged.", reason=Reason.IMAGE_CORRUPT, field="content")
    wire.sent[0].answer.set_result(["A", error, "C", error])

    assert [["A", error], ["C"], [error]] == [await call for call in calls]


async def test_an_unexpected_error_tells_nothing() -> None:
    """What is not ours becomes Internal; only the log has its words."""
    wire = _Wire()
    call = wire.asks("a")
    await _turns()
    with capture_logs() as lines:
        wire.sent[0].answer.set_exception(RuntimeError("secret"))
        (got,) = await call

    assert isinstance(got, Internal)
    assert (False, ["unexpected error while sending a message"]) == (
        "secret" in got.message,
        [line["event"] for line in lines],
    )


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_wrong_number_of_results_is_everybodys_error(count: int) -> None:
    """Nobody gets another one's result, and nobody waits for ever."""
    wire = _Wire()
    calls = [wire.asks("a"), wire.asks("b")]
    await _turns()
    with capture_logs():
        wire.sent[0].answer.set_result(["X"] * count)
        results = [await call for call in calls]

    assert [Internal, Internal] == [type(result) for (result,) in results]


async def test_a_message_that_is_cancelled_from_within_is_answered() -> None:
    """When what a message waits for is cancelled, as by a channel that closes, its callers are told to come again."""
    wire = _Wire()
    call = wire.asks("a")
    await _turns()
    wire.sent[0].answer.cancel()
    (got,) = await call

    assert isinstance(got, Unavailable)
    assert Reason.SHUTTING_DOWN == got.reason


@pytest.mark.parametrize("end", ["answer", "error", "leave"])
async def test_every_end_frees_its_place(end: str) -> None:
    """Whatever becomes of a message, the next one goes."""
    wire = _Wire()
    first, second = await wire.held(), wire.asks("a")
    await _turns()
    if end == "answer":
        wire.sent[0].answered()
    elif end == "error":
        wire.sent[0].answer.set_exception(Unavailable("Away."))
    else:
        first.cancel()
    await _turns()

    assert [["held"], ["a"]] == wire.batches
    wire.sent[1].answered()
    assert ["A"] == await second


async def test_a_slow_message_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its patience a message no longer counts; its own caller still gets the answer."""
    monkeypatch.setattr("gateway.coalescer.PATIENCE_S", 0)
    wire = _Wire()
    slow, others = await wire.held(), wire.asks("a", "b")
    await _turns()

    assert [["held"], ["a", "b"]] == wire.batches
    wire.sent[1].answered()
    assert ["A", "B"] == await others
    wire.sent[0].answered()
    assert ["HELD"] == await slow


async def test_a_slow_message_makes_room_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it comes back in the end it does not count as a second place that became free."""
    wire = _Wire()
    monkeypatch.setattr("gateway.coalescer.PATIENCE_S", 0)
    slow = await wire.held()
    monkeypatch.setattr("gateway.coalescer.PATIENCE_S", LONG_S)
    second = await wire.held()
    wire.sent[0].answered()
    await slow
    third = wire.asks("a")
    await _turns()

    assert [["held"], ["held"]] == wire.batches
    await wire.answered()
    assert [["HELD"], ["A"]] == [await second, await third]


async def test_a_message_in_time_stops_its_clock() -> None:
    """What has come back leaves no timer behind that would make room a second time."""
    wire = _Wire()
    first = await wire.held()
    loop: Any = asyncio.get_running_loop()
    (timer,) = loop._scheduled
    wire.sent[0].answered()
    await first

    assert timer.cancelled()


def _asking(request_id: str, timeout_s: float = math.inf) -> Callable[[Awaitable[Any]], Awaitable[Any]]:
    async def ask(call: Awaitable[Any]) -> Any:
        context.enter(context.accept(request_id, None))
        context.set_deadline(timeout_s)
        return await call

    return ask


async def test_a_message_goes_in_the_name_of_all() -> None:
    """The send sees every caller's request id, each once, and the trace of the first; callers keep their own."""
    wire = _Wire()
    calls = [
        asyncio.ensure_future(_asking(name)(wire.coalescer.run("k", items)))
        for name, items in (("one", ["a", "b"]), ("two", ["c"]), ("three", ["d"]))
    ]
    await _turns()
    asking = wire.sent[0].asking

    assert asking is not None
    assert "one,two,three" == asking.request_id
    assert context.current() is None
    await wire.answered()
    await asyncio.gather(*calls)


async def test_a_message_is_not_in_the_name_of_those_who_left() -> None:
    """Nor does a later message carry the names of an earlier one."""
    wire = _Wire()
    held = await wire.held()
    calls = [asyncio.ensure_future(_asking(name)(wire.coalescer.run("k", ["a"]))) for name in ("one", "two")]
    await _turns()
    calls[0].cancel()
    await wire.answered()

    assert [None, "two"] == [message.asking and message.asking.request_id for message in wire.sent]
    await asyncio.gather(held, calls[1])


async def test_a_message_waits_as_long_as_its_most_patient_caller() -> None:
    """A short deadline among long ones does not shorten the message."""
    wire = _Wire()
    calls = [
        asyncio.ensure_future(_asking(name, timeout_s)(wire.coalescer.run("k", ["a"])))
        for name, timeout_s in (("one", 5), ("two", 500), ("three", 50))
    ]
    await _turns()

    assert 490 < wire.sent[0].timeout_s <= 500
    await wire.answered()
    await asyncio.gather(*calls)


class _Item:
    """Is an item that can be watched."""


@contextmanager
def _without_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _uses(coalescer: Coalescer[str, _Item, int], watched: list[weakref.ref[_Item]], *, leave: bool) -> None:
    items = [_Item() for _ in range(5)]
    watched += map(weakref.ref, items)
    call = asyncio.ensure_future(coalescer.run("k", items))
    await asyncio.sleep(0)
    if leave:
        call.cancel()
    await asyncio.gather(call, return_exceptions=True)


@pytest.mark.parametrize("leave", [False, True])
async def test_nothing_is_kept(*, leave: bool) -> None:
    """After a call its items are freed at once, without the garbage collector, whether it was answered or left."""

    async def send(_key: str, items: Sequence[_Item], _timeout_s: float) -> Sequence[int]:
        await asyncio.sleep(0)
        return [1] * len(items)

    coalescer: Coalescer[str, _Item, int] = Coalescer(send, lambda _: 1, Bounds(2, 9, lambda: 1))
    watched: list[weakref.ref[_Item]] = []
    with _without_collector():
        await _uses(coalescer, watched, leave=leave)
        await _turns()

        assert [None] * 5 == [each() for each in watched]
    assert ({}, set(), 0) == (coalescer._waiting, coalescer._tasks, coalescer._under_way)


@dataclass(frozen=True)
class _Plan:
    """Is what one caller does."""

    key: str
    sizes: list[int]
    begins: int
    leaves: int | None
    """Turns of the loop after which it leaves."""


plans = st.lists(
    st.builds(
        _Plan,
        st.sampled_from("xyz"),
        st.lists(st.integers(0, 9), max_size=7),
        st.integers(0, 12),
        st.none() | st.integers(0, 12),
    ),
    max_size=12,
)


scripts = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4).map(lambda dice: dice == 0)), min_size=1, max_size=9)
"""How many turns each message takes, and whether it fails; after the last one it begins again."""


class _Echo:
    """Answers items with themselves after some turns; some messages fail as a whole, some items by themselves."""

    def __init__(self, script: Sequence[tuple[int, bool]], most_items: int, most_bytes: int) -> None:
        self._script = cycle(script)
        self._limits = most_items, most_bytes
        self.under_way = 0
        self.most_under_way = 0
        self.order: dict[tuple[str, int], list[int]] = defaultdict(list)

    async def send(self, key: str, items: Sequence[Any], _timeout_s: float) -> Sequence[Any]:
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        most_items, most_bytes = self._limits
        assert 1 <= len(items) <= most_items
        assert len(items) == 1 or sum(size for *_, size in items) <= most_bytes
        assert {key} == {item_key for item_key, *_ in items}
        for item_key, caller, index, _ in items:
            self.order[item_key, caller].append(index)
        try:
            turns, fails = next(self._script)
            for _ in range(turns):
                await asyncio.sleep(0)
            if fails:
                raise Unavailable("Away.")
        finally:
            self.under_way -= 1
        return [InvalidArgument("Damaged.") if item[-1] == 9 else item for item in items]


async def _plays(plan: _Plan, number: int, coalescer: Coalescer[str, Any, Any]) -> bool:
    """Does what a plan says, and returns whether it was answered; every answer must be to its own question."""
    for _ in range(plan.begins):
        await asyncio.sleep(0)
    items = [(plan.key, number, index, size) for index, size in enumerate(plan.sizes)]
    call = asyncio.ensure_future(coalescer.run(plan.key, items))
    for _ in range(plan.leaves or 0):
        await asyncio.sleep(0)
    if plan.leaves is not None:
        call.cancel()
    await asyncio.wait([call])
    if call.cancelled():
        assert plan.leaves is not None
        return False
    for item, result in zip(items, call.result(), strict=True):
        assert isinstance(result, Unavailable) or (
            isinstance(result, InvalidArgument) if item[-1] == 9 else item == result
        )
    return True


@given(plans, scripts, st.integers(1, 4), st.integers(1, 20), st.integers(1, 3))
def test_everybody_gets_what_is_theirs(
    plans: list[_Plan], script: list[tuple[int, bool]], most_items: int, most_bytes: int, messages: int
) -> None:
    """Whoever asks, leaves or fails: results are one's own and in order, limits hold, and nothing stays behind."""
    echo = _Echo(script, most_items, most_bytes)

    async def play() -> None:
        coalescer: Coalescer[str, Any, Any] = Coalescer(
            echo.send, lambda item: int(item[-1]), Bounds(most_items, most_bytes, lambda: messages)
        )
        async with asyncio.timeout(20):
            await asyncio.gather(*(_plays(plan, number, coalescer) for number, plan in enumerate(plans)))
        await _turns()
        assert ({}, set(), 0) == (coalescer._waiting, coalescer._tasks, coalescer._under_way)

    asyncio.run(play())

    assert echo.most_under_way <= messages
    assert all(sorted(set(order)) == order for order in echo.order.values())


async def test_what_waits_is_told() -> None:
    """Items that have not left are counted, the first one's wait is told, and so are the messages under way."""
    wire = _Wire()
    held = await wire.held()
    before = (wire.coalescer.waiting(), wire.coalescer.oldest_s(), wire.coalescer.under_way())
    call = wire.asks("a", "b")
    await _turns()
    during = (wire.coalescer.waiting(), wire.coalescer.oldest_s() > 0, wire.coalescer.under_way())
    wire.sent[0].answered()
    await _turns()
    wire.sent[1].answered()
    await asyncio.gather(held, call)

    assert ((0, 0.0, 1), (2, True, 1)) == (before, during)
    assert (0, 0.0) == (wire.coalescer.waiting(), wire.coalescer.oldest_s())


async def test_each_message_tells_how_long_its_first_item_waited() -> None:
    """One number a message, of the item that asked first."""
    heard: list[float] = []

    async def send(_key: str, items: Sequence[str], _timeout_s: float) -> Sequence[str]:
        return items

    coalescer: Coalescer[str, str, str] = Coalescer(send, len, Bounds(4, 100, lambda: 1), heard.append)
    await asyncio.gather(coalescer.run("k", ["a"]), coalescer.run("k", ["b"]))

    assert [True] == [0 <= each < LONG_S for each in heard]
