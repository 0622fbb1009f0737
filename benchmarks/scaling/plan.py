"""Finds how many replicas and nodes a rate needs: sizes one cell by simulation, and multiplies it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil

from benchmarks.scaling.cell import Coalescing
from benchmarks.scaling.costs import Costs
from benchmarks.scaling.layout import POD, Layout, Shape, Tier
from benchmarks.scaling.simulation import Load, Result, Use, simulate

CELL_RATE = 10_000.0
"""Images/s of a cell: enough nodes of each kind that rounding up is cheap, and seconds to simulate."""
IMAGES = 10_000
"""Images that each simulation of a cell counts."""
_TRIES = 16


@dataclass(frozen=True, slots=True)
class Target:
    """Is what a cell must keep: the busiest resource of a tier below `use`, 99 of 100 images within `p99_ms`."""

    use: float = 0.7
    p99_ms: float = 50.0

    def __post_init__(self) -> None:
        """Refuses what nothing can keep.

        Raises:
            ValueError: naming the field.
        """
        if not 0 < self.use < 1:
            raise ValueError("use must lie between 0 and 1")
        if self.p99_ms <= 0:
            raise ValueError("p99_ms must be above 0")


@dataclass(frozen=True, slots=True)
class Plan:
    """Is a cluster for a rate, made of equal cells, one of which was simulated."""

    layout: Layout
    rate: float
    cells: float
    """Rate of the cluster over that of the cell."""
    cell: Result
    cell_tiers: dict[str, Tier]
    tiers: dict[str, Tier]

    @property
    def cores(self) -> int:
        """Returns the cores of all replicas."""
        return _cores(self.tiers)

    @property
    def gpus(self) -> int:
        """Returns the GPUs of all replicas."""
        return sum(tier.replicas for tier in self.tiers.values() if tier.shape.gpu)

    @property
    def network_gbit(self) -> float:
        """Returns what crosses the network each second, callers' images included."""
        return self.rate * self.cell.moved_kb * 8 / 1e6


def make_plans(
    layout: Layout,
    costs: Costs,
    rates: Iterable[float],
    target: Target,
    coalescing: Coalescing | None = None,
    images: int = IMAGES,
) -> list[Plan]:
    """Sizes one cell for all rates that are many cells, and one for each rate that is less than a cell.

    Raises:
        ValueError: no number of replicas keeps the target.
    """
    sized: dict[float, tuple[dict[str, Tier], Result]] = {}
    plans = []
    for rate in rates:
        cell_rate = min(rate, CELL_RATE)
        if cell_rate not in sized:
            sized[cell_rate] = size_cell(layout, costs, cell_rate, target, coalescing, images)
        cell_tiers, cell = sized[cell_rate]
        cells = rate / cell_rate
        tiers = {name: tier.scaled(cells) for name, tier in cell_tiers.items()}
        plans.append(Plan(layout, rate, cells, cell, cell_tiers, tiers))
    return plans


def size_cell(
    layout: Layout,
    costs: Costs,
    rate: float,
    target: Target,
    coalescing: Coalescing | None = None,
    images: int = IMAGES,
) -> tuple[dict[str, Tier], Result]:
    """Simulates, corrects every tier by how busy it was, and repeats until the target is kept twice.

    Raises:
        ValueError: an image alone takes longer than the target, or the search does not come to an end.
    """
    tiers = {n: _tier(costs, s, _guess(costs, layout, n, rate, target.use)) for n, s in layout.shapes.items()}
    alone = simulate(layout, tiers, costs, Load(clients=1, seconds=1), coalescing)
    if alone.p99_ms > target.p99_ms:
        raise ValueError(f"{layout.name}: no p99 of {target.p99_ms} ms: an image alone takes {alone.p99_ms:.1f} ms")
    load = Load(rate, seconds=images / rate, warm_up_s=0.5)
    kept: list[tuple[dict[str, Tier], Result]] = []
    for _ in range(_TRIES):
        result = simulate(layout, tiers, costs, load, coalescing)
        wanted = {name: _corrected(costs, tier, result.use[name], target.use) for name, tier in tiers.items()}
        if result.wall[1] <= target.use and result.p99_ms <= target.p99_ms:
            kept.append((tiers, result))
            if len(kept) == 2 or wanted == tiers:
                break
        else:  # what waits behind the wall looks idle, so nothing may shrink
            wanted = {name: _larger(costs, tiers[name], tier) for name, tier in wanted.items()}
            if wanted == tiers:
                busiest = max(tiers, key=lambda name: result.use[name].highest()[1])
                wanted[busiest] = _tier(costs, tiers[busiest].shape, ceil(tiers[busiest].replicas * 1.1))
        tiers = wanted
    if not kept:
        raise ValueError(f"{layout.name}: found no size that keeps a p99 of {target.p99_ms} ms at {rate:.0f} images/s")
    return min(kept, key=lambda pair: _cores(pair[0]))


def doubled(tiers: Mapping[str, Tier]) -> dict[str, Tier]:
    """Returns a cell of twice the size."""
    return {name: tier.scaled(2) for name, tier in tiers.items()}


def spread(tiers: Mapping[str, Tier], zones: int) -> dict[str, Tier]:
    """Returns at least one replica of everything in every zone, on a node of its own."""
    return {
        name: replace(tier, replicas=max(tier.replicas, zones), nodes=max(tier.nodes, zones))
        for name, tier in tiers.items()
    }


def _tier(costs: Costs, shape: Shape, replicas: int, nodes: int = 1) -> Tier:
    """Returns replicas on at least `nodes` nodes, as many as their cores and GPUs need."""
    per_node = 1 if shape.gpu else max(1, costs.node_cores // shape.cores)
    return Tier(shape, replicas, min(replicas, max(nodes, ceil(replicas / per_node))))


def _guess(costs: Costs, layout: Layout, name: str, rate: float, use: float) -> int:
    """Returns what CPU and GPU times alone say, one image a message: enough, and often too much."""
    hops_ms = 0.0 if layout.together else costs.hop_message_ms * 2 + costs.hop_mb_ms * costs.tensor_kb / 1e3
    decode_ms = costs.decode_gpu_host_ms if layout.gpu_decode else sum(costs.decode_ms) / len(costs.decode_ms)
    shape = layout.shapes[name]
    infer_ms = 0.0 if shape.gpu else costs.infer_cpu_batch_ms + costs.infer_cpu_image_ms
    edge_ms = costs.hop_message_ms + costs.gateway_request_ms
    needs_ms = {
        "gateway": edge_ms + 2 * hops_ms,
        "preprocess": decode_ms + hops_ms,
        "inference": infer_ms + costs.triton_message_ms + hops_ms,
        "postprocess": costs.rank_ms + hops_ms,
        POD: edge_ms + decode_ms + infer_ms + costs.triton_message_ms + costs.rank_ms,
    }
    gpu_ms = (
        max(costs.infer_gpu_image_ms, costs.decode_gpu_image_ms if layout.gpu_decode else 0.0) if shape.gpu else 0.0
    )
    return max(1, ceil(rate / 1e3 / use * max(needs_ms[name] / shape.cores, gpu_ms)))


def _corrected(costs: Costs, tier: Tier, use: Use, target: float) -> Tier:
    """Returns as many replicas as would have been busy to the target, and nodes likewise by their cards."""
    computing = replace(use, network=0.0).highest()[1]
    nodes = ceil(tier.nodes * use.network / target)
    # Where cards are short, more nodes than replicas would help nobody: one without a replica carries nothing.
    return _tier(costs, tier.shape, max(1, nodes, ceil(tier.replicas * computing / target)), nodes)


def _cores(tiers: Mapping[str, Tier]) -> int:
    return sum(tier.replicas * tier.shape.cores for tier in tiers.values())


def _larger(costs: Costs, tier: Tier, other: Tier) -> Tier:
    return _tier(costs, tier.shape, max(tier.replicas, other.replicas), max(tier.nodes, other.nodes))
