"""What work waits for: cores, event loops, network cards, batches. Times in ms, sizes in kB."""

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import ceil
from typing import Any, Generic, TypeVar

import simpy

Steps = Generator[simpy.Event, Any, None]
Item = TypeVar("Item")

URGENT, ORDINARY = 0, 1


class Server:
    """Serves up to `width` pieces of work at a time, urgent ones first, and counts how long it was busy."""

    def __init__(self, env: simpy.Environment, width: int) -> None:
        self._env = env
        self.slots = simpy.PriorityResource(env, width)
        self.width = width
        self.busy_ms = 0.0

    def hold(self, ms: float, priority: int = ORDINARY) -> Steps:
        """Waits for a slot and keeps it for `ms`."""
        if ms > 0:
            with self.slots.request(priority) as slot:
                yield slot
                self.busy_ms += ms
                yield self._env.timeout(ms)

    def use(self, window_ms: float) -> float:
        """Returns the busy share of a window over which `busy_ms` was counted."""
        return self.busy_ms / (window_ms * self.width)


class Process:
    """Runs event loops for messages and a pool of threads for the work, on the same cores."""

    def __init__(self, cpu: Server, loop: Server) -> None:
        self.cpu = cpu
        self.loop = loop

    def on_loop(self, ms: float) -> Steps:
        """Runs on an event loop, which needs a core too. The system lets it go before the pool's long work."""
        if ms > 0:
            with self.loop.slots.request(ORDINARY) as turn:
                yield turn
                self.loop.busy_ms += ms
                yield from self.cpu.hold(ms, URGENT)


@dataclass(eq=False, slots=True)
class Node:
    """Is a machine's network card, both directions, in a zone."""

    receiving: Server
    sending: Server
    gbit: float
    zone: int

    def wire_ms(self, kb: float) -> float:
        """Returns how long the card is busy with so many kB."""
        return kb * 8 / (self.gbit * 1e3)


class Network:
    """Carries bytes between nodes and counts them."""

    def __init__(self, env: simpy.Environment, link_ms: float, zone_ms: float) -> None:
        self._env = env
        self._link_ms = link_ms
        self._zone_ms = zone_ms
        self.moved_kb = 0.0
        self.crossed_kb = 0.0

    def move(self, source: Node | None, target: Node | None, kb: float) -> Steps:
        """Takes `kb` from one node to another; None is a caller outside, whose own card is no concern of ours."""
        if source is target:
            return
        self.moved_kb += kb
        delay_ms = self._link_ms
        if source and target and source.zone != target.zone:
            self.crossed_kb += kb
            delay_ms += self._zone_ms
        if source:
            yield from source.sending.hold(source.wire_ms(kb))
        yield self._env.timeout(delay_ms)
        if target:
            yield from target.receiving.hold(target.wire_ms(kb))


class Batcher(Generic[Item]):
    """Runs what waits in batches: at most so many at once, each of what is there, and nothing waits when one is free.

    The gateway's messages to a service are made like this, and the engine's batches.
    """

    def __init__(
        self,
        env: simpy.Environment,
        *,
        at_once: int,
        size: int,
        run: Callable[[list[Item]], Steps],
        spread: bool = False,
    ) -> None:
        """Begins empty.

        Args:
            env: the simulation.
            at_once: batches that run at the same time.
            size: items in one batch.
            run: the steps of a batch.
            spread: whether what waits is shared out over all batches that may run, not put into the first.
        """
        self._env = env
        self._free = self._at_once = at_once
        self._spread = spread
        self._size = size
        self._run = run
        self._waiting: deque[tuple[Item, simpy.Event]] = deque()
        self.items = 0
        self.batches = 0

    def submit(self, item: Item) -> simpy.Event:
        """Returns what happens when the item's batch has ended."""
        done = self._env.event()
        self._waiting.append((item, done))
        self._start()
        return done

    def _start(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            waiting = ceil(len(self._waiting) / self._at_once) if self._spread else len(self._waiting)
            batch = [self._waiting.popleft() for _ in range(min(self._size, waiting))]
            self._env.process(self._work(batch))

    def _work(self, batch: list[tuple[Item, simpy.Event]]) -> Steps:
        yield from self._run([item for item, _ in batch])
        self.items += len(batch)
        self.batches += 1
        for _, done in batch:
            done.succeed()
        self._free += 1
        self._start()
