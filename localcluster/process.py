"""Keeps one child process running: starts it, watches its health, starts it again when it ends, and stops it."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

from localcluster import leash, logfiles
from localcluster.backoff import Backoff
from localcluster.environment import inherited
from localcluster.guard import Guard, signal_group
from localcluster.health import Answer
from localcluster.layout import ProcessSpec
from localcluster.silence import Silence
from localcluster.state import ProcessState, ProcessStatus

Health = Callable[[ProcessSpec], AsyncIterator[Answer]]
"""Checks the process again and again and yields what comes of it."""

FINAL_REFUSALS = 20
"""So many times in a row has a process that loads first to say that it is not ready, until it is believed."""


class KeptProcess:
    """Is one process of the cluster, in whatever state."""

    def __init__(
        self,
        spec: ProcessSpec,
        log: Path,
        health: Health,
        guard: Guard,
        changed: Callable[["KeptProcess"], None],
        backoff: Backoff,
        silence_s: float = 10.0,
    ) -> None:
        self.spec = spec
        self.status = ProcessStatus(
            spec.name, spec.replica, ProcessState.STARTING, str(log), dict(spec.ports), optional=spec.optional
        )
        self.was_ready = False
        self._refusals = 0
        self._log = log
        self._health = health
        self._changed = changed
        self._guard = guard
        self._backoff = backoff
        self._silence = Silence(silence_s)
        self._served = False  # since it was started last
        self._verdict = ""  # why we killed it
        self._stopping = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    def hopeless(self, attempts: int) -> bool:
        """Says whether it will not become ready: it never was, and has ended too often or loaded in vain."""
        refused = self.spec.loads_first and self._refusals >= FINAL_REFUSALS
        return not self.was_ready and (refused or self.status.restarts >= attempts)

    def start(self) -> None:
        """Begins to keep the process running."""
        logfiles.begin(self._log)
        self._task = asyncio.create_task(self._keep(), name=self.spec.title)

    async def stop(self, timeout_s: float) -> None:
        """Asks the process to drain, waits for it, and kills it after `timeout_s`."""
        self._stopping.set()
        if self._task is None:
            return
        if self._child is not None and self._child.returncode is None:
            self._child.terminate()
            self._become(ProcessState.DRAINING)
        done, _ = await asyncio.wait({self._task}, timeout=timeout_s)
        if not done:
            self.kill()
        await self._task

    def kill(self) -> None:
        """Ends the process and all that it started, now."""
        if self._child is not None:
            signal_group(self._child.pid, signal.SIGKILL)

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            ending = await self._run()
            if self._stopping.is_set():
                break
            pause_s = self._backoff.after(time.monotonic() - began)
            detail = f"{ending}, starts again in {pause_s:.1f} s"
            self._become(ProcessState.WAITING, pid=None, restarts=self.status.restarts + 1, detail=detail)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
        self._become(ProcessState.STOPPED, pid=None)

    async def _run(self) -> str:
        """Runs the process once and returns how it ended."""
        try:
            self._child = child = await self._spawn()
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        self._guard.add(child.pid)
        self._served, self._verdict = False, ""
        self._become(ProcessState.STARTING, pid=child.pid, started_at=time.time())
        watch = asyncio.create_task(self._watch())
        try:
            code = await child.wait()
            return self._verdict or ending(code)
        finally:
            watch.cancel()
            self.kill()  # what it started and left behind
            self._guard.remove(child.pid)

    async def _spawn(self) -> asyncio.subprocess.Process:
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-IS", leash.__file__, str(os.getpid()), *self.spec.argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=(inherited() if self.spec.inherits else {}) | dict(self.spec.env),
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor, which drains in order
            )

    async def _watch(self) -> None:
        async with aclosing(self._health(self.spec)) as answers:  # type: ignore[type-var] # a generator, typed by what we need
            async for answer in answers:
                logfiles.bound(self._log)
                if not self._stopping.is_set():
                    self._note(answer)
                    self._listen(answer)

    def _note(self, answer: Answer) -> None:
        self._refusals = self._refusals + 1 if answer is Answer.NOT_SERVING else 0
        if answer is Answer.SERVING:
            self.was_ready = self._served = True
            self._become(ProcessState.READY)
        elif self._refusals >= FINAL_REFUSALS and self.hopeless(attempts=1):
            self._become(ProcessState.UNREADY, "could not load all it should serve")
        elif answer is Answer.NOT_SERVING:
            self._become(ProcessState.UNREADY, "says that it is not ready")
        elif self._served:
            self._become(ProcessState.UNREADY, "does not answer")

    def _listen(self, answer: Answer) -> None:
        """Ends a process that hangs. One that still starts may take its time, one that says no is alive."""
        if answer in (Answer.SERVING, Answer.NOT_SERVING):
            self._silence.heard()
        elif answer is Answer.SILENT and self._served and self._silence.unheard():
            self._verdict = f"did not answer for {self._silence.limit_s:g} s"
            self.kill()

    def _become(self, state: ProcessState, detail: str = "", **changes: object) -> None:
        status = replace(self.status, state=state, detail=detail, **changes)  # type: ignore[arg-type] # names and types of the dataclass
        if status != self.status:
            self.status = status
            self._changed(self)


def ending(code: int) -> str:
    """Says how a process ended, from its return code."""
    if code >= 0:
        return f"ended with code {code}"
    return f"was killed by {signal.Signals(-code).name}"
