"""What is used of TensorRT 11's Python API, with types: neither `tensorrt` nor `tensorrt_rtx` ships any.

TensorRT builds for the GPU that it sees, TensorRT-RTX for any GPU that is named, without one; both have one API. The
slow tests look every name here up in the real bindings of both.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, cast

Runtime = Literal["tensorrt", "tensorrt-rtx"]
PACKAGES: Mapping[Runtime, str] = {"tensorrt": "tensorrt-cu13", "tensorrt-rtx": "tensorrt-rtx-cu13"}
"""What to install; both are NVIDIA's, under a licence of its own."""
Shape = Sequence[int]


class RuntimeMissingError(ValueError):
    """Says that TensorRT, or TensorRT-RTX, cannot be imported here."""


class HostMemory(Protocol):
    """Is bytes that TensorRT holds; it has Python's buffer protocol."""

    def __buffer__(self, flags: int, /) -> memoryview:
        """Lends the bytes."""


class Tensor(Protocol):
    """Is `ITensor`."""

    name: str
    shape: Shape
    """-1 for what is free."""


class Network(Protocol):
    """Is `INetworkDefinition`."""

    def get_input(self, index: int) -> Tensor:
        """Returns an input."""


class Parser(Protocol):
    """Is `OnnxParser`."""

    num_errors: int

    def parse(self, model: bytes) -> bool:
        """Adds an ONNX file to the network; False with errors."""

    def get_error(self, index: int) -> object:
        """Returns an error, whose `str` tells node, operator and reason."""


class Profile(Protocol):
    """Is `IOptimizationProfile`."""

    def set_shape(self, input: str, min: Shape, opt: Shape, max: Shape) -> None:  # noqa: A002 -- its names
        """Says which shapes of an input a plan takes, and for which it is tuned."""


class TimingCache(Protocol):
    """Is `ITimingCache`."""

    def serialize(self) -> HostMemory:
        """Returns what was timed."""


class Config(Protocol):
    """Is `IBuilderConfig`."""

    builder_optimization_level: int

    def add_optimization_profile(self, profile: Profile) -> int:
        """Adds a profile and returns its index, -1 where it is no good."""

    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache:
        """Reads timings; an empty string begins new ones."""

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:  # noqa: FBT001 -- its arguments
        """Uses timings, and adds to them; False where they are of another device or TensorRT."""

    def get_timing_cache(self) -> TimingCache:
        """Returns the timings that are used."""


class PortableConfig(Config, Protocol):
    """Is `IBuilderConfig` of TensorRT-RTX, which builds for GPUs that are not there."""

    num_compute_capabilities: int

    def set_compute_capability(self, compute_capability: object, index: int) -> bool:
        """Says for which GPUs to build; False, and no error, where that cannot be."""


class Builder(Protocol):
    """Is `Builder`."""

    def create_network(self, flags: int = 0) -> Network:
        """Returns an empty network; since TensorRT 11 types are always those of the graph."""

    def create_builder_config(self) -> Config:
        """Returns a configuration."""

    def create_optimization_profile(self) -> Profile:
        """Returns a profile that says nothing yet."""

    def build_serialized_network(self, network: Network, config: Config) -> HostMemory | None:
        """Returns a plan; None where there is none, and the logger heard why."""


class TensorRT(Protocol):
    """Is the module."""

    __version__: str
    ILogger: Any
    """Class that loggers derive from."""

    def Builder(self, logger: object) -> Builder:
        """Returns a builder."""

    def OnnxParser(self, network: Network, logger: object) -> Parser:
        """Returns a parser that writes into the network."""


class TensorRTRTX(TensorRT, Protocol):
    """Is the module of TensorRT-RTX."""

    ComputeCapability: Any
    """Enumeration of the GPUs that can be named: SM75, SM80 and so on."""


def load(runtime: Runtime) -> TensorRT:
    """Imports TensorRT or TensorRT-RTX.

    Raises:
        RuntimeMissingError: it is not installed, or its libraries cannot be loaded.
    """
    try:
        return cast("TensorRT", importlib.import_module(runtime.replace("-", "_")))
    except (ImportError, OSError) as error:  # OSError: a library that the bindings open by hand
        raise RuntimeMissingError(f"{runtime} cannot be imported ({error}): pip install {PACKAGES[runtime]}") from error
