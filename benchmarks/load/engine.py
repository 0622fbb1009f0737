"""Sends, waits and keeps the time: closed loops (each client waits for its answer) and open ones (a fixed schedule)."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import numpy.typing as npt

from benchmarks.load.exchange import Answer, Exchange, WireError, Workload
from benchmarks.processes import cpu_s

_CHUNK = 262_144
STALLED_S = 30.0
"""A server from which nothing comes for so long is given up."""


@dataclass
class Outcome:
    """Is what a run saw within its window."""

    seconds: float
    latencies_s: npt.NDArray[np.float64]
    """Of the right answers; in an open loop from the moment when the request should have been sent."""
    failures: list[str] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)
    """CPU seconds within the window, by group; the generator's own under `generator`."""

    @property
    def cpu_ms(self) -> dict[str, float]:
        """Returns the CPU milliseconds per right answer, by group."""
        return {name: spent_s * 1e3 / max(1, len(self.latencies_s)) for name, spent_s in self.spent.items()}

    @property
    def rate(self) -> float:
        """Returns right answers per second."""
        return len(self.latencies_s) / self.seconds

    def quantile_ms(self, share: float) -> float:
        """Returns a quantile of the latency in milliseconds."""
        return float(np.quantile(self.latencies_s, share) * 1e3) if len(self.latencies_s) else float("nan")


class _Client:
    """Is one connection and the request on it."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self.intended_s = 0.0
        self.picture = 0
        self.busy = False
        self.connect()

    def connect(self) -> None:
        self.exchange: Exchange = self._workload.connect()
        self.socket = socket.create_connection(self._workload.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(self.exchange.hello())

    def send(self, picture: int, intended_s: float) -> None:
        self.picture, self.intended_s, self.busy = picture, intended_s, True
        self.socket.sendall(self.exchange.request(picture))

    def receive(self) -> Answer | None:
        data = self.socket.recv(_CHUNK)
        if not data:
            raise WireError("the server closed the connection")
        reply, answer = self.exchange.receive(data)
        if reply:
            self.socket.sendall(reply)
        return answer


class Engine:
    """Runs one load against one server."""

    def __init__(self, workload: Workload, clients: int, processes: Mapping[str, Sequence[int]]) -> None:
        """Opens the connections.

        Args:
            workload: what to send, and what is right.
            clients: connections: of a closed loop all are busy, of an open one as many as the schedule needs.
            processes: the server's, in groups whose CPU time is counted.
        """
        self._processes = processes
        self._workload = workload
        self._selector = selectors.DefaultSelector()
        self._clients = [_Client(workload) for _ in range(clients)]
        for client in self._clients:
            self._selector.register(client.socket, selectors.EVENT_READ, client)
        self._pictures = count()
        self._records: list[tuple[float, float, int, Answer]] = []

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            client.socket.close()
        self._selector.close()

    def closed(self, warm_up_s: float, seconds: float) -> Outcome:
        """Keeps every client busy: the next request follows the answer."""
        begin = time.perf_counter() + warm_up_s
        end = begin + seconds
        cpu = _Cpu(begin, self._processes)
        for client in self._clients:
            self._send(client, time.perf_counter())
        while time.perf_counter() < end:
            cpu.look()
            for client in self._answered(STALLED_S):
                self._send(client, time.perf_counter())
        return self._outcome(begin, end, cpu)

    def open(self, schedule_s: npt.NDArray[np.float64], warm_up_s: float) -> Outcome:
        """Sends at given moments, whatever the answers do; what finds no free connection waits, and that counts.

        Args:
            schedule_s: ascending, from 0; what lies before `warm_up_s` is sent but not counted.
            warm_up_s: length of the beginning that is left out.
        """
        start = time.perf_counter()
        due = deque(schedule_s + start)
        seconds = float(schedule_s[-1]) - warm_up_s
        cpu = _Cpu(start + warm_up_s, self._processes)
        free = deque(self._clients)
        while due or len(free) < len(self._clients):
            cpu.look()
            while due and free and due[0] <= time.perf_counter():
                self._send(free.popleft(), due.popleft())
            wait_s = max(0.0, due[0] - time.perf_counter()) if due and free else STALLED_S
            free.extend(self._answered(wait_s))
        return self._outcome(start + warm_up_s, start + warm_up_s + seconds, cpu, by_intention=True)

    def _send(self, client: _Client, intended_s: float) -> None:
        if client.exchange.leaving:
            self._reconnect(client)
        client.send(next(self._pictures) % len(self._workload.expected), intended_s)

    def _answered(self, wait_s: float) -> Iterator[_Client]:
        """Yields the clients whose answer is complete, once there is something to read or the wait is over."""
        events = self._selector.select(wait_s)
        if not events and wait_s == STALLED_S:
            raise WireError(f"nothing came from the server for {STALLED_S:g} s")
        for key, _ in events:
            client: _Client = key.data
            try:
                answer = client.receive()
            except (WireError, ConnectionError) as error:
                self._reconnect(client)
                if not client.busy:
                    continue  # the server may close what is idle
                answer = Answer(ok=False, body=str(error).encode())
            if answer is not None:
                client.busy = False
                self._records.append((client.intended_s, time.perf_counter(), client.picture, answer))
                yield client

    def _reconnect(self, client: _Client) -> None:
        self._selector.unregister(client.socket)
        client.socket.close()
        client.connect()
        self._selector.register(client.socket, selectors.EVENT_READ, client)

    def _outcome(self, begin: float, end: float, cpu: "_Cpu", *, by_intention: bool = False) -> Outcome:
        spent = cpu.spent_s()
        latencies, failures = [], []
        for intended_s, ended_s, picture, answer in self._records:
            if not begin <= (intended_s if by_intention else ended_s) < end:
                continue
            problem = self._problem(picture, answer)
            if problem:
                failures.append(problem)
            else:
                latencies.append(ended_s - intended_s)
        return Outcome(end - begin, np.array(latencies), failures, spent)

    def _problem(self, picture: int, answer: Answer) -> str:
        if not answer.ok:
            return f"refused: {answer.body[:200]!r}"
        top1, expected = self._workload.top1(answer.body), self._workload.expected[picture]
        return "" if top1 == expected else f"class {top1} instead of {expected}"


class _Cpu:
    """Counts CPU time from a moment on."""

    def __init__(self, begin: float, processes: Mapping[str, Sequence[int]]) -> None:
        self._begin = begin
        self._processes = processes
        self._at_begin: dict[str, float] = {}

    def look(self) -> None:
        if not self._at_begin and time.perf_counter() >= self._begin:
            self._at_begin = self._now()

    def _now(self) -> dict[str, float]:
        return {**{name: cpu_s(pids) for name, pids in self._processes.items()}, "generator": time.process_time()}

    def spent_s(self) -> dict[str, float]:
        return {name: now_s - self._at_begin.get(name, now_s) for name, now_s in self._now().items()}


def poisson(rate: float, seconds: float, seed: int = 0) -> npt.NDArray[np.float64]:
    """Returns the moments of independent arrivals."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, size=max(1, round(rate * seconds)))
    return np.cumsum(gaps)
