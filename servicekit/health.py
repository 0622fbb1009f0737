"""Readiness that means something: a process is ready when every condition it named holds."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import structlog

log = structlog.get_logger()

LATE_LOOP_S = 0.1
"""A timer that fires later than this tells of an overloaded event loop, not of whom it waited for."""

BUSY_INTERVAL_S = 1.0
"""Longest pause between two checks of what answers ordinary calls meanwhile."""

Check = Callable[[], Awaitable[None]]


class Readiness:
    """Collects named conditions; those that do not hold carry a sentence that says why."""

    def __init__(self, *conditions: str) -> None:
        self._failing = dict.fromkeys(conditions, "It has not been checked yet.")
        self._holding: set[str] = set()
        self._changed = asyncio.Condition()

    @property
    def ready(self) -> bool:
        """Says whether every condition holds."""
        return not self._failing

    def failing(self) -> dict[str, str]:
        """Returns the conditions that do not hold, and why."""
        return dict(self._failing)

    def conditions(self) -> dict[str, str]:
        """Returns every condition: empty text when it holds, else why not."""
        return {name: self._failing.get(name, "") for name in sorted(self._holding | self._failing.keys())}

    async def set(self, condition: str, problem: str | None) -> None:
        """Records that a condition holds (None), or why it does not."""
        if problem == self._failing.get(condition) and (problem is not None or condition in self._holding):
            return
        if problem is None:
            self._failing.pop(condition, None)
            self._holding.add(condition)
        else:
            self._holding.discard(condition)
            self._failing[condition] = problem
        log.info("readiness", condition=condition, holds=problem is None, problem=problem, ready=self.ready)
        async with self._changed:
            self._changed.notify_all()

    async def changes(self) -> AsyncIterator[bool]:
        """Yields whether the process is ready, at once and at every change."""
        last: bool | None = None
        while True:
            async with self._changed:
                while self.ready is last:
                    await self._changed.wait()
                last = self.ready
            yield last


class Prober:
    """Checks one condition again and again, since a connection that is up proves nothing about who holds it.

    A dependency counts as lost after `failures` failed checks in a row, and as back after one that succeeds. While it
    answers ordinary calls, it is checked once in `BUSY_INTERVAL_S` only.
    """

    def __init__(
        self,
        readiness: Readiness,
        condition: str,
        check: Check,
        *,
        interval_s: float = 0.25,
        timeout_s: float = 0.5,
        failures: int = 2,
    ) -> None:
        self._readiness = readiness
        self._condition = condition
        self._check = check
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._failures = failures
        self._failed = 0
        self._hurry = asyncio.Event()
        self._answered_at = -math.inf
        self.passed_at = -math.inf
        """When the last check that passed began, on the monotonic clock."""

    def answered(self) -> None:
        """Takes note that the dependency answered an ordinary call: it is there, however slow its checks are."""
        self._answered_at = time.monotonic()

    def hurry(self) -> None:
        """Has the next check begin at once."""
        self._hurry.set()

    async def probe(self) -> None:
        """Runs the check once and records what it says."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._check()
        except Exception as error:  # noqa: BLE001 (whatever goes wrong, the condition does not hold)
            if isinstance(error, TimeoutError) and self._excused(began):
                return
            self._failed += 1
            if self._failed >= self._failures or self._condition in self._readiness.failing():
                problem = str(error) or f"It did not answer within {self._timeout_s:g} s."
                await self._readiness.set(self._condition, problem)
        else:
            self._failed = 0
            self.passed_at = began
            await self._readiness.set(self._condition, None)

    def _excused(self, began: float) -> bool:
        """Says whether a late answer is no sign of absence: others got theirs, or this process itself was too busy."""
        overslept_s = time.monotonic() - began - self._timeout_s
        return self._answered_at > began or overslept_s > LATE_LOOP_S

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Probes in the background while the context is open."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            await self.probe()
            checked_at = time.monotonic()
            while await self._paused() and self._busy(checked_at):
                pass
            self._hurry.clear()

    async def _paused(self) -> bool:
        """Waits one interval; False when somebody is in a hurry."""
        try:
            async with asyncio.timeout(self._interval_s):
                await self._hurry.wait()
        except TimeoutError:
            return True
        return False

    def _busy(self, checked_at: float) -> bool:
        """Says whether ordinary calls were answered within the last interval, and the last check is not long ago."""
        now = time.monotonic()
        well = now - self._answered_at < self._interval_s and not self._failed
        return well and now - checked_at < BUSY_INTERVAL_S
