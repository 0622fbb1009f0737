"""Batches between hops: what waits goes as one message, which shares the cost of a hop; when idle nothing waits."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import structlog

from servicekit import context
from servicekit.errors import Internal, Reason, TriptychError, Unavailable

log = structlog.get_logger()

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE_S = 0.1
"""A message that takes longer no longer counts against the limit: one slow picture must not hold up the rest."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Says how large messages get, and how many are under way."""

    max_items: int
    """In one message."""
    max_bytes: int
    """In one message, unless a single item is larger."""
    messages: Callable[[], int]
    """How many may be under way before items wait for one to come back."""


class Coalescer(Generic[Key, Item, Result]):
    """Sends the items of many callers to one service in few messages, each with items of one key only."""

    def __init__(
        self,
        send: Callable[[Key, Sequence[Item], float], Awaitable[Sequence[Result | TriptychError]]],
        weigh: Callable[[Item], int],
        bounds: Bounds,
        waited: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Takes what sends a message.

        Args:
            send: sends items of one key, within so many seconds, and returns one result or error for each, in order.
                It runs in a task of its own, in the context of all callers (`servicekit.context.shared`).
            weigh: returns an item's bytes.
            bounds: of the messages.
            waited: hears of each message how many seconds its first item waited.
        """
        self._send = send
        self._waited = waited
        self._weigh = weigh
        self._bounds = bounds
        self._waiting: dict[Key, deque[_Entry[Item, Result]]] = {}
        self._under_way = 0
        self._pumping = False
        self._tasks: set[asyncio.Task[None]] = set()

    def waiting(self) -> int:
        """Returns how many items wait; any thread may ask."""
        return sum(map(len, list(self._waiting.values())))

    def oldest_s(self) -> float:
        """Returns for how many seconds the one that waits longest has; any thread may ask."""
        heads = [entries[0] for queue in list(self._waiting.values()) if (entries := list(queue)[:1])]
        return time.monotonic() - min(entry.call.since_s for entry in heads) if heads else 0.0

    def under_way(self) -> int:
        """Returns how many messages are under way, less those that take too long to count."""
        return self._under_way

    async def run(self, key: Key, items: Sequence[Item]) -> list[Result | TriptychError]:
        """Has items sent, perhaps together with others', and returns what became of each, in order.

        When the caller is cancelled, items that have not left yet never do.
        """
        if not items:
            return []
        call: _Call[Result] = _Call(len(items))
        self._waiting.setdefault(key, deque()).extend(_Entry(call, index, item) for index, item in enumerate(items))
        self._pump_soon()
        return await call.done

    def _pump_soon(self) -> None:
        """Waits for whoever else is about to ask in this turn of the event loop, and no longer."""
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        while self._waiting and self._under_way < self._bounds.messages():
            key = next(iter(self._waiting))
            if entries := self._take(key):
                self._under_way += 1
                task = asyncio.create_task(self._deliver(key, entries))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                for call in {entry.call for entry in entries}:
                    call.done.add_done_callback(partial(_call_off, task, entries))

    def _take(self, key: Key) -> "list[_Entry[Item, Result]]":
        """Takes the items of the next message; a key of which some are left goes to the end of the line."""
        queue = self._waiting.pop(key)
        entries: list[_Entry[Item, Result]] = []
        size = 0
        while queue and len(entries) < self._bounds.max_items:
            if queue[0].call.done.done():  # its caller has left
                queue.popleft()
                continue
            size += self._weigh(queue[0].item)
            if entries and size > self._bounds.max_bytes:
                break
            entries.append(queue.popleft())
        if queue:
            self._waiting[key] = queue
        return entries

    async def _deliver(self, key: Key, entries: "list[_Entry[Item, Result]]") -> None:
        release = _once(self._release)
        patience = asyncio.get_running_loop().call_later(PATIENCE_S, release)
        context.enter(context.shared(entry.call.context for entry in entries))
        now = time.monotonic()
        self._waited(now - entries[0].call.since_s)
        timeout_s = max(entry.call.deadline_s for entry in entries) - now
        outcomes: list[tuple[_Entry[Item, Result], Result | TriptychError]]
        try:
            results = await self._send(key, [entry.item for entry in entries], timeout_s)
            outcomes = list(zip(entries, results, strict=True))
        except TriptychError as error:
            outcomes = [(entry, error) for entry in entries]
        except asyncio.CancelledError:
            # Called off, and nobody waits. Or not by us, as when a channel closes, and somebody does.
            message = "The service stopped before the answer was ready."
            away = Unavailable(message, reason=Reason.SHUTTING_DOWN, retry_after_s=1.0)
            outcomes = [(entry, away) for entry in entries]
        except Exception:
            log.exception("unexpected error while sending a message")
            outcomes = [(entry, Internal("Something went wrong inside Triptych.")) for entry in entries]
        finally:
            patience.cancel()
            release()
        for entry, result in outcomes:
            entry.call.settle(entry.index, result)

    def _release(self) -> None:
        self._under_way -= 1
        self._pump_soon()


class _Call(Generic[Result]):
    """Is one caller's wait for all its items."""

    def __init__(self, items: int) -> None:
        self.done: asyncio.Future[list[Result | TriptychError]] = asyncio.get_running_loop().create_future()
        self.since_s = time.monotonic()
        self.deadline_s = context.deadline_s()
        self.context = context.current()
        self._results: list[Any] = [None] * items
        self._left = items

    def settle(self, index: int, result: Result | TriptychError) -> None:
        self._results[index] = result
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(self._results)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Item, Result]):
    call: _Call[Result]
    index: int
    item: Item


def _call_off(task: "asyncio.Task[None]", entries: Sequence[_Entry[Any, Any]], _: object) -> None:
    """Ends a message that nobody waits for any more."""
    if all(entry.call.done.cancelled() for entry in entries):
        task.cancel()


def _once(action: Callable[[], None]) -> Callable[[], None]:
    actions = [action]

    def act() -> None:
        if actions:
            actions.pop()()

    return act
