"""What runs where: the ways to lay the services out over nodes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

STAGES = ("preprocess", "inference", "postprocess")
POD = "pod"
"""The tier of a layout that has the gateway and all services in one process."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Is one replica: its cores, its event loops (processes behind one name), whether it has a GPU to itself."""

    cores: int
    loops: int = 1
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class Tier:
    """Is all replicas of a service."""

    shape: Shape
    replicas: int
    nodes: int

    def scaled(self, factor: float) -> "Tier":
        """Returns as many times of it, rounded up."""
        return replace(self, replicas=ceil(self.replicas * factor - 1e-9), nodes=ceil(self.nodes * factor - 1e-9))


@dataclass(frozen=True, slots=True)
class Layout:
    """Is a kind of cluster, without its size."""

    name: str
    title: str
    shapes: Mapping[str, Shape]
    gpu_decode: bool = False
    shared_node: bool = False
    """All tiers on one node, on the same cores: what `triptych up` starts."""

    @property
    def together(self) -> bool:
        """Says whether the services are one process, so that no hop costs anything."""
        return POD in self.shapes


_GATEWAY = _POSTPROCESS = Shape(cores=1)
_CPU_WORK = Shape(cores=4)
_GPU_NODE = Shape(cores=16, loops=8, gpu=True)

LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout(
            "cpu-apart",
            "CPU, services apart",
            {"gateway": _GATEWAY, "preprocess": _CPU_WORK, "inference": _CPU_WORK, "postprocess": _POSTPROCESS},
        ),
        Layout("cpu-together", "CPU, co-located", {POD: _CPU_WORK}),
        Layout(
            "gpu-apart",
            "GPU inference, CPU decode, apart",
            {"gateway": _GATEWAY, "preprocess": _CPU_WORK, "inference": _GPU_NODE, "postprocess": _POSTPROCESS},
        ),
        Layout("gpu-together", "GPU decode and inference, co-located", {POD: _GPU_NODE}, gpu_decode=True),
    )
}


def one_machine(cores: int, *, together: bool) -> tuple[Layout, dict[str, Tier]]:
    """Returns the cluster that `triptych up` starts: one process a service, all on the machine's cores."""
    names = (POD,) if together else ("gateway", *STAGES)
    shapes = {name: Shape(cores) for name in names}
    return Layout("machine", "one machine", shapes, shared_node=True), {n: Tier(s, 1, 1) for n, s in shapes.items()}
