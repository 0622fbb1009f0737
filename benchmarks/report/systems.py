"""The systems that take turns: Triptych in its shapes, and the rivals; each with the loads that it gets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from benchmarks import cluster
from benchmarks.bare import Bare
from benchmarks.load.exchange import Workload
from benchmarks.load.http1 import Http1
from benchmarks.load.triptych import TRANSPORTS, workload
from benchmarks.processes import children
from benchmarks.report.measurement import APART, BEST, CACHED, COLOCATED
from benchmarks.rivals import launch

CLIENTS = (1, 4, 16, 64)
COMPUTE_ALL = {"TRIPTYCH_RESULT_CACHE_BYTES": "0"}
"""Without it, three pictures again and again would only measure the cache."""


@dataclass(frozen=True, slots=True)
class Target:
    """Is a running system."""

    processes: Mapping[str, Sequence[int]]
    workloads: Mapping[str, Workload]
    """By transport."""


@dataclass(frozen=True, slots=True)
class System:
    """Says how to start a system, and what load it gets."""

    name: str
    start: Callable[[Sequence[bytes], tuple[int, ...]], AbstractContextManager[Target]]
    """Takes the pictures and the best class of each."""
    closed: Mapping[str, Sequence[int]]
    """Numbers of clients, by transport."""
    open_transport: str = ""
    """Gets an open loop at 70 % of what the closed ones reached; empty: no."""
    rival: bool = False
    truth: Callable[[], Bare] = Bare
    """Says what the right answers are: those of the same computation without a server."""


def triptych(
    name: str,
    closed: Mapping[str, Sequence[int]],
    options: tuple[str, ...] = (),
    variables: Mapping[str, str] = COMPUTE_ALL,
    version: str = "",
    open_transport: str = "",
    truth: Callable[[], Bare] = Bare,
) -> System:
    """Returns a Triptych cluster with these options of `triptych up` and variables of its environment."""

    @contextmanager
    def start(contents: Sequence[bytes], expected: tuple[int, ...]) -> Iterator[Target]:
        with cluster.running(options, {"TRIPTYCH_REQUEST_LOG": "false", **variables}) as running:
            loads: dict[str, Workload] = {
                transport: workload(transport, running.port(transport), contents, expected, version)
                for transport in TRANSPORTS
            }
            yield Target(running.processes, loads)

    return System(name, start, closed, open_transport, truth=truth)


def rival(name: str) -> System:
    """Returns one of `benchmarks.rivals`."""

    @contextmanager
    def start(contents: Sequence[bytes], expected: tuple[int, ...]) -> Iterator[Target]:
        with launch.running(name) as running:
            encoded = [running.request(content).encode() for content in contents]
            load = Workload(("127.0.0.1", running.port), lambda: Http1(encoded), running.top1, expected)
            yield Target({name: children(running.pid)}, {"http": load})

    return System(name, start, {"http": CLIENTS}, rival=True)


@dataclass(frozen=True, slots=True)
class Best:
    """Is the fastest configuration with the same best class on all test photographs (`benchmarks.photographs`)."""

    options: tuple[str, ...] = ("--colocated",)
    version: str = "2"
    oversampling: float = 1.0

    @property
    def variables(self) -> dict[str, str]:
        """Returns what the environment has to say."""
        return {**COMPUTE_ALL, "TRIPTYCH_JPEG_OVERSAMPLING": str(self.oversampling)}

    def truth(self) -> Bare:
        """Returns the same computation without a server."""
        return Bare(version=self.version, oversampling=self.oversampling)


def all_systems(best: Best) -> list[System]:
    """Returns every system, in the order of their turns."""
    everything = {"grpc": CLIENTS, "http": CLIENTS, "json": (16,)}
    return [
        triptych(APART, everything, open_transport="grpc"),
        triptych(COLOCATED, everything, ("--colocated",), open_transport="grpc"),
        triptych(
            BEST,
            {"grpc": CLIENTS, "http": CLIENTS},
            best.options,
            best.variables,
            best.version,
            truth=best.truth,
        ),
        triptych(CACHED, {"grpc": (16,), "http": (16,)}, variables={}),
        *(rival(name) for name in launch.RIVALS),
    ]
