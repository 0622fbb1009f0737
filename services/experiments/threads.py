"""Threads in which to wait for the database, of which a server that hangs must not take those of others."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """Calls what would block the event loop; whoever waits for it may stop to, at the deadline, and it goes on."""

    def __init__(self, count: int = 8) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="database")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what the function returns, called in a thread, on behalf of the same request."""
        call = partial(contextvars.copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Threads"]:
        """Has threads while the context is open; then what was begun is ended, and what waits for a thread is not."""
        try:
            yield self
        finally:
            await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
