"""Stands in for the modules `tensorrt` and `tensorrt_rtx`: it reads every graph, and a plan is a line of text."""

from enum import Enum
from types import SimpleNamespace
from typing import Any

VERSION = "11.4.0.106"


class Capability(Enum):
    """Is what TensorRT-RTX builds for."""

    CURRENT = -1
    SM89 = 89
    SM120 = 120


class FakeTensorRT:
    """Is the module; `builds` says what was built, each as capability, shapes and timings."""

    __version__ = VERSION
    ComputeCapability = Capability
    ILogger = object

    def __init__(self, refusal: str = "", failure: str = "") -> None:
        self.refusal, self.failure = refusal, failure
        self.builds: list[SimpleNamespace] = []

    def Builder(self, logger: Any) -> "FakeBuilder":  # noqa: N802 -- its name
        """Returns a builder."""
        return FakeBuilder(self, logger)

    def OnnxParser(self, network: object, logger: object) -> SimpleNamespace:  # noqa: N802 -- its name
        """Returns a parser that refuses with what it was told to."""
        errors = [self.refusal] if self.refusal else []
        return SimpleNamespace(parse=lambda _: not errors, num_errors=len(errors), get_error=errors.__getitem__)


class FakeBuilder:
    """Is a builder."""

    def __init__(self, module: FakeTensorRT, logger: Any) -> None:
        self._module, self._logger = module, logger

    def create_network(self) -> SimpleNamespace:
        """Returns a network with the default model's input."""
        tensor = SimpleNamespace(name="image", shape=(-1, 224, 224, 3))
        return SimpleNamespace(get_input=[tensor].__getitem__)

    def create_builder_config(self) -> "FakeConfig":
        """Returns a configuration."""
        return FakeConfig()

    def create_optimization_profile(self) -> SimpleNamespace:
        """Returns a profile that keeps what it is told."""
        profile = SimpleNamespace(shapes=())
        profile.set_shape = lambda *shapes: setattr(profile, "shapes", shapes)
        return profile

    def build_serialized_network(self, network: object, config: "FakeConfig") -> bytes | None:
        """Returns a plan, or tells the logger why not."""
        if self._module.failure:
            self._logger.log(3, "a word of information")
            self._logger.log(1, self._module.failure)
            return None
        self._module.builds.append(
            SimpleNamespace(capability=config.capability, shapes=config.shapes, timings=config.timings)
        )
        return b"a plan"


class FakeConfig:
    """Is a configuration."""

    builder_optimization_level = 3
    num_compute_capabilities = 0
    capability: Capability | None = None
    shapes: tuple[object, ...] = ()
    timings = b""

    def set_compute_capability(self, capability: Capability, index: int) -> bool:
        """Does nothing, as the real one, before there is a place for it."""
        self.capability = capability
        return index < self.num_compute_capabilities

    def add_optimization_profile(self, profile: SimpleNamespace) -> int:
        """Takes a profile."""
        self.shapes = profile.shapes
        return 0

    def create_timing_cache(self, serialized: bytes) -> bytes:
        """Reads timings."""
        return serialized

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        """Takes timings but those of another GPU."""
        self.timings = cache
        return cache != b"of another GPU"

    def get_timing_cache(self) -> SimpleNamespace:
        """Returns timings with one more."""
        return SimpleNamespace(serialize=lambda: self.timings + b"t")
