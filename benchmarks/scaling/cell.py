"""A cell of the cluster as processes of the simulation: gateways, services, cards, and the way of an image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice, pairwise

import simpy

from benchmarks.scaling.costs import Costs
from benchmarks.scaling.layout import POD, STAGES, Layout, Shape, Tier
from benchmarks.scaling.resources import Batcher, Network, Node, Process, Server, Steps

GPU_BATCH, CPU_BATCH = 64, 8


@dataclass(frozen=True, slots=True)
class Image:
    """Is one image on its way."""

    decode_ms: float


@dataclass(frozen=True, slots=True)
class Coalescing:
    """Says how the gateway sends what waits: messages in flight per hop and process, and images in one."""

    in_flight: int = 3
    images: int = 8
    zones: int = 1


class Replica:
    """Does the work of every stage; a tier asks it only for its own."""

    def __init__(
        self, env: simpy.Environment, costs: Costs, layout: Layout, shape: Shape, node: Node, cpu: Server
    ) -> None:
        self._env = env
        self._costs = costs
        self.shape = shape
        self.node = node
        self.process = Process(cpu, Server(env, shape.loops))
        gpu = shape.gpu
        self.engine = Batcher(
            env,
            at_once=1 if gpu else shape.cores,
            size=GPU_BATCH if gpu else CPU_BATCH,
            run=self._infer_on_gpu if gpu else self._infer_on_cpu,
            spread=True,
        )
        self.decoder = Batcher(env, at_once=1, size=GPU_BATCH, run=self._decode_on_gpu) if layout.gpu_decode else None

    def work(self, stage: str, images: list[Image]) -> Steps:
        """Does a message's work."""
        if stage == "preprocess":
            decoded = [self._decode(image) for image in images]
            yield self._env.all_of(decoded)
        elif stage == "inference":
            yield from self.process.on_loop(self._costs.triton_message_ms)
            yield self._env.all_of([self.engine.submit(image) for image in images])
        else:
            yield from self.process.on_loop(self._costs.rank_ms * len(images))

    def gpu_use(self, window_ms: float) -> float:
        """Returns the share of what the GPU could do in full batches, the busier of its two engines.

        A GPU that takes what waits is nearly always busy, with small batches; that says nothing about its room.
        """
        costs = self._costs
        full_ms = self.engine.items * (costs.infer_gpu_batch_ms / GPU_BATCH + costs.infer_gpu_image_ms)
        if self.decoder:
            decode_ms = costs.decode_gpu_batch_ms / GPU_BATCH + costs.decode_gpu_image_ms
            full_ms = max(full_ms, self.decoder.items * decode_ms)
        return full_ms / window_ms if self.shape.gpu else 0.0

    def _decode(self, image: Image) -> simpy.Event:
        if self.decoder:
            return self.decoder.submit(image)
        return self._env.process(self.process.cpu.hold(image.decode_ms))

    def _decode_on_gpu(self, images: list[Image]) -> Steps:
        costs = self._costs
        host = self._env.process(self.process.cpu.hold(costs.decode_gpu_host_ms * len(images)))
        yield host & self._env.timeout(costs.decode_gpu_batch_ms + costs.decode_gpu_image_ms * len(images))

    def _infer_on_gpu(self, images: list[Image]) -> Steps:
        yield self._env.timeout(self._costs.infer_gpu_batch_ms + self._costs.infer_gpu_image_ms * len(images))

    def _infer_on_cpu(self, images: list[Image]) -> Steps:
        costs = self._costs
        yield from self.process.cpu.hold(costs.infer_cpu_batch_ms + costs.infer_cpu_image_ms * len(images))


class Gateway:
    """Takes images through the stages, coalescing what waits for one into messages."""

    def __init__(
        self,
        env: simpy.Environment,
        costs: Costs,
        network: Network,
        replica: Replica,
        neighbours: Mapping[str, Iterator[Replica]],
        coalescing: Coalescing,
    ) -> None:
        self._costs = costs
        self._network = network
        self._replica = replica
        self._neighbours = neighbours
        at_once = coalescing.in_flight * replica.shape.loops
        self.hops = [
            Batcher(env, at_once=at_once, size=coalescing.images, run=partial(self._call, stage)) for stage in STAGES
        ]
        sizes = (costs.jpeg_kb, costs.tensor_kb, costs.logits_kb, costs.answer_kb)
        self._sizes_kb = dict(zip(STAGES, pairwise(sizes), strict=True))

    def answer(self, image: Image) -> Steps:
        """Takes a caller's image through the chain. Receiving it costs the server's half of a hop."""
        costs = self._costs
        yield from self._network.move(None, self._replica.node, costs.jpeg_kb)
        half_hop_ms = _hop_ms(costs, costs.jpeg_kb + costs.answer_kb) / 2
        yield from self._replica.process.on_loop(half_hop_ms + costs.gateway_request_ms)
        for hop in self.hops:
            yield hop.submit(image)
        yield from self._network.move(self._replica.node, None, costs.answer_kb)

    def _call(self, stage: str, images: list[Image]) -> Steps:
        here, there = self._replica, next(self._neighbours[stage])
        asked_kb, answered_kb = (kb * len(images) for kb in self._sizes_kb[stage])
        side_ms = 0.0 if here is there else _hop_ms(self._costs, asked_kb + answered_kb) / 2
        yield from here.process.on_loop(side_ms)
        yield from self._network.move(here.node, there.node, asked_kb)
        yield from there.process.on_loop(side_ms)
        yield from there.work(stage, images)
        yield from self._network.move(there.node, here.node, answered_kb)


def _hop_ms(costs: Costs, kb: float) -> float:
    return costs.hop_message_ms + costs.hop_mb_ms * kb / 1e3


class Cell:
    """Is the cluster that a simulation runs."""

    def __init__(
        self, env: simpy.Environment, costs: Costs, layout: Layout, tiers: Mapping[str, Tier], coalescing: Coalescing
    ) -> None:
        """Builds it.

        Args:
            env: the simulation.
            costs: what things cost.
            layout: what runs where.
            tiers: how many of each, by the names that the layout has.
            coalescing: how gateways send.
        """
        self.network = Network(env, costs.link_ms, costs.zone_ms)
        self.nodes: dict[str, list[Node]] = {}
        self.replicas: dict[str, list[Replica]] = {}
        shared_cpu = Server(env, next(iter(tiers.values())).shape.cores) if layout.shared_node else None
        for name, tier in tiers.items():
            gbit = costs.gpu_node_gbit if tier.shape.gpu else costs.cpu_node_gbit
            nodes = [Node(Server(env, 1), Server(env, 1), gbit, i % coalescing.zones) for i in range(tier.nodes)]
            self.nodes[name] = next(iter(self.nodes.values()), nodes) if layout.shared_node else nodes
            self.replicas[name] = [
                Replica(env, costs, layout, tier.shape, node, shared_cpu or Server(env, tier.shape.cores))
                for node in islice(cycle(self.nodes[name]), tier.replicas)
            ]
        self.gateways = [
            Gateway(env, costs, self.network, replica, self._neighbours(replica, index), coalescing)
            for index, replica in enumerate(self.replicas[POD if layout.together else "gateway"])
        ]

    def servers(self) -> Iterator[Server]:
        """Yields everything that counts how long it was busy."""
        for replicas in self.replicas.values():
            for replica in replicas:
                yield from (replica.process.cpu, replica.process.loop)
        for nodes in self.nodes.values():
            for node in nodes:
                yield from (node.receiving, node.sending)

    def batchers(self) -> Iterator[Batcher[Image]]:
        """Yields everything that counts batches."""
        for gateway in self.gateways:
            yield from gateway.hops
        for replicas in self.replicas.values():
            for replica in replicas:
                yield replica.engine
                if replica.decoder:
                    yield replica.decoder

    def _neighbours(self, gateway: Replica, index: int) -> dict[str, Iterator[Replica]]:
        """Returns each stage's replicas in turn, every gateway beginning at another one."""
        return {
            stage: islice(cycle(self.replicas[stage]), index, None) if stage in self.replicas else cycle([gateway])
            for stage in STAGES
        }
