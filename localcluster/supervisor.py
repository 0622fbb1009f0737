"""Starts all processes of a cluster, waits until they are ready, and drains them in order."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from localcluster.backoff import Backoff
from localcluster.guard import Guard
from localcluster.health import serving
from localcluster.layout import ProcessSpec
from localcluster.process import Health, KeptProcess
from localcluster.state import Phase, ProcessState, ProcessStatus

log = logging.getLogger("triptych")

Publish = Callable[[Phase, tuple[ProcessStatus, ...]], None]


class StartError(RuntimeError):
    """Says which process did not become ready, and why."""

    def __init__(self, message: str, process: ProcessStatus) -> None:
        super().__init__(message)
        self.process = process


@dataclass(frozen=True, slots=True)
class Pace:
    """Holds the times of a supervisor."""

    start_timeout_s: float = 120.0
    start_attempts: int = 3
    """A process that ends this often before it was ever ready is a failed start."""
    drain_timeout_s: float = 20.0
    """Time to drain for each rank of processes; then they are killed."""
    silence_s: float = 10.0
    """A process that was ready and then answers no check for this long is killed, and started again."""
    backoff: Callable[[], Backoff] = field(default=Backoff)


class Supervisor:
    """Runs a set of processes as one."""

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        logs: Path,
        guard: Guard,
        publish: Publish,
        pace: Pace | None = None,
        health: Health = serving,
    ) -> None:
        self._pace = pace or Pace()
        self._publish = publish
        self._processes = [
            KeptProcess(
                spec,
                logs / f"{spec.title}.log",
                health,
                guard,
                self._changed,
                self._pace.backoff(),
                self._pace.silence_s,
            )
            for spec in specs
        ]
        self._phase = Phase.STARTING
        self._decided = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Runs the processes until `stop` is set, then drains them.

        Raises:
            StartError: they did not all become ready; they have been stopped again.
        """
        try:
            for process in self._processes:
                process.start()
            await self._until_ready(stop)
            await stop.wait()
        finally:
            await self._drain()

    def kill(self) -> None:
        """Ends every process now; `run` then returns."""
        for process in self._processes:
            process.kill()

    async def _until_ready(self, stop: asyncio.Event) -> None:
        waits = {asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._decided.wait())}
        try:
            await asyncio.wait(waits, timeout=self._pace.start_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not stop.is_set() and self._phase is Phase.STARTING:
            self._give_up()

    def _give_up(self) -> None:
        """Ends the start: goes on without what is optional, and fails without anything else."""
        if culprit := self._hopeless():
            status = culprit.status
            raise StartError(f"{status.title} {status.detail.partition(',')[0]}", status)
        late = [each.status for each in self._needed if each.status.state is not ProcessState.READY]
        if not late:
            self._phase = Phase.DEGRADED
            self._tell()
            return
        status = late[0]
        why = f": it {status.detail}" if status.detail else ""
        raise StartError(f"{status.title} was not ready within {self._pace.start_timeout_s:g} s{why}", status)

    def _hopeless(self) -> KeptProcess | None:
        attempts = self._pace.start_attempts
        return next((process for process in self._needed if process.hopeless(attempts)), None)

    @property
    def _needed(self) -> list[KeptProcess]:
        return [process for process in self._processes if not process.spec.optional]

    def _changed(self, process: KeptProcess) -> None:
        status = process.status
        log.info("%s %s%s", status.title, status.state, f": {status.detail}" if status.detail else "")
        if self._phase is not Phase.STOPPING:
            self._judge()
        self._tell()

    def _judge(self) -> None:
        if all(process.status.state is ProcessState.READY for process in self._processes):
            self._phase = Phase.READY
            self._decided.set()
        elif self._phase is Phase.READY:
            self._phase = Phase.DEGRADED
        elif self._phase is Phase.STARTING and self._without_optional():
            self._phase = Phase.DEGRADED
            self._decided.set()
        elif self._phase is Phase.STARTING and self._hopeless():
            self._decided.set()

    def _without_optional(self) -> bool:
        """Says whether all is ready but what is optional and will not become so."""
        rest = [process for process in self._processes if process.status.state is not ProcessState.READY]
        return all(process.spec.optional and process.hopeless(self._pace.start_attempts) for process in rest)

    async def _drain(self) -> None:
        self._phase = Phase.STOPPING
        self._tell()
        ordered = sorted(self._processes, key=lambda process: process.spec.drain_rank)
        for _, rank in groupby(ordered, key=lambda process: process.spec.drain_rank):
            await asyncio.gather(*(process.stop(self._pace.drain_timeout_s) for process in rank))

    def _tell(self) -> None:
        self._publish(self._phase, tuple(process.status for process in self._processes))
