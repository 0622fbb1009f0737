"""Runs a cell under a load and says how long images took and how busy everything was."""

import random
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from math import ceil, log

import simpy

from benchmarks.scaling.cell import Cell, Coalescing, Gateway, Image
from benchmarks.scaling.costs import Costs
from benchmarks.scaling.layout import STAGES, Layout, Tier
from benchmarks.scaling.resources import Steps


@dataclass(frozen=True, slots=True)
class Load:
    """Is what callers send: `rate` images/s whatever comes back, or else `clients` that send one after the other."""

    rate: float = 0.0
    burst: float = 1.0
    """Images that arrive at one moment, on average (geometric); 1 is a Poisson stream."""
    clients: int = 0
    seconds: float = 5.0
    warm_up_s: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuses what is no load.

        Raises:
            ValueError: naming what is wrong.
        """
        if (self.rate > 0) == (self.clients > 0):
            raise ValueError("a load has either a rate above 0 or clients")
        if self.burst < 1 or self.seconds <= 0 or self.warm_up_s < 0:
            raise ValueError("burst must be 1 or more, seconds above 0, the warm-up 0 or more")


@dataclass(frozen=True, slots=True)
class Use:
    """Says how busy a tier's cores, event loops, network cards (busiest node, busier direction) and GPUs are."""

    cores: float
    loops: float
    network: float
    gpu: float

    def highest(self) -> tuple[str, float]:
        """Returns what is busiest, and how busy."""
        return max(
            (("cores", self.cores), ("event loop", self.loops), ("network card", self.network), ("GPU", self.gpu)),
            key=lambda pair: pair[1],
        )


@dataclass(frozen=True, slots=True)
class Result:
    """Is what a simulation showed of the time after its warm-up."""

    images: int
    rate: float
    """Images answered per second."""
    mean_ms: float
    p50_ms: float
    p99_ms: float
    use: dict[str, Use]
    images_per_message: dict[str, float]
    moved_kb: float
    """Over the network, per image."""
    crossed_kb: float
    """Of that, from zone to zone."""

    @property
    def wall(self) -> tuple[str, float]:
        """Returns what stops a higher rate first, and how near it is (1 is the limit)."""
        tier = max(self.use, key=lambda name: self.use[name].highest()[1])
        what, share = self.use[tier].highest()
        return f"{tier}: {what}", share


def simulate(
    layout: Layout, tiers: Mapping[str, Tier], costs: Costs, load: Load, coalescing: Coalescing | None = None
) -> Result:
    """Runs the load through a cell of these tiers; the same arguments give the same result.

    Raises:
        ValueError: nothing was answered in the time.
    """
    env = simpy.Environment()
    cell = Cell(env, costs, layout, tiers, coalescing or Coalescing())
    draw = random.Random(load.seed)  # noqa: S311 (a simulation)
    times: list[float] = []
    gateways = cycle(cell.gateways)
    if load.rate:
        env.process(_arrivals(env, gateways, costs, load, draw, times))
    for _ in range(load.clients):
        env.process(_client(env, next(gateways), costs, draw, times))
    if load.warm_up_s:
        env.run(load.warm_up_s * 1e3)
    times.clear()
    _forget(cell)
    env.run((load.warm_up_s + load.seconds) * 1e3)
    if not times:
        raise ValueError("no image was answered: simulate longer, or a lower rate")
    return _result(cell, times, load.seconds * 1e3)


def _arrivals(
    env: simpy.Environment,
    gateways: Iterator[Gateway],
    costs: Costs,
    load: Load,
    draw: random.Random,
    times: list[float],
) -> Steps:
    while True:
        yield env.timeout(draw.expovariate(load.rate / load.burst / 1e3))
        for _ in range(_geometric(draw, load.burst)):
            env.process(_timed(env, next(gateways), costs, draw, times))


def _client(env: simpy.Environment, gateway: Gateway, costs: Costs, draw: random.Random, times: list[float]) -> Steps:
    while True:
        yield from _timed(env, gateway, costs, draw, times)


def _timed(env: simpy.Environment, gateway: Gateway, costs: Costs, draw: random.Random, times: list[float]) -> Steps:
    start = env.now
    yield from gateway.answer(Image(draw.choice(costs.decode_ms)))
    times.append(env.now - start)


def _geometric(draw: random.Random, mean: float) -> int:
    """Draws 1, 2, ... with that mean."""
    return 1 if mean == 1 else ceil(log(1 - draw.random()) / log(1 - 1 / mean))


def _forget(cell: Cell) -> None:
    """Sets all counts to zero, at the end of the warm-up."""
    for server in cell.servers():
        server.busy_ms = 0.0
    for batcher in cell.batchers():
        batcher.items = batcher.batches = 0
    cell.network.moved_kb = cell.network.crossed_kb = 0.0


def _result(cell: Cell, times: list[float], window_ms: float) -> Result:
    cuts = statistics.quantiles(times, n=100) if len(times) > 1 else times * 99
    return Result(
        images=len(times),
        rate=len(times) / window_ms * 1e3,
        mean_ms=statistics.mean(times),
        p50_ms=cuts[49],
        p99_ms=cuts[98],
        use={name: _use(cell, name, window_ms) for name in cell.replicas},
        images_per_message={
            stage: sum(gateway.hops[i].items for gateway in cell.gateways)
            / max(1, sum(gateway.hops[i].batches for gateway in cell.gateways))
            for i, stage in enumerate(STAGES)
        },
        moved_kb=cell.network.moved_kb / len(times),
        crossed_kb=cell.network.crossed_kb / len(times),
    )


def _use(cell: Cell, name: str, window_ms: float) -> Use:
    replicas, nodes = cell.replicas[name], cell.nodes[name]
    return Use(
        cores=statistics.mean(replica.process.cpu.use(window_ms) for replica in replicas),
        loops=statistics.mean(replica.process.loop.use(window_ms) for replica in replicas),
        network=max(max(node.receiving.use(window_ms), node.sending.use(window_ms)) for node in nodes),
        gpu=statistics.mean(replica.gpu_use(window_ms) for replica in replicas),
    )
