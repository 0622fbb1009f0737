"""Builds a plan from an ONNX file with TensorRT, or with TensorRT-RTX for a GPU that is not here."""

import time
from dataclasses import dataclass
from typing import Any, cast

from modelkit.tensorrt.api import Builder, Config, Network, Parser, PortableConfig, TensorRT, TensorRTRTX

_ERROR = 1
"""Severities up to this one are errors: 0 is an internal one."""
_NO_GPU = "cudaError 35"
"""Where there is no GPU, TensorRT says so beside every other error."""


class RefusedError(ValueError):
    """Says in TensorRT's own words why there is no plan."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Says how a plan shall be."""

    max_batch: int
    """Pictures that it takes at once, from 1."""
    opt_batch: int
    """Pictures for which it is tuned."""
    target: str = ""
    """GPU to build for, such as `sm89`; empty for the one that is here."""
    level: int | None = None
    """How long to look for fast kernels, 0 to 5; None for TensorRT's own choice."""


@dataclass(frozen=True, slots=True)
class Built:
    """Is a plan, and what its building taught."""

    plan: bytes
    timings: bytes
    """Timing cache, for the next build on the same kind of GPU; empty for a target, for which nothing can be timed."""
    seconds: float


def build(trt: TensorRT, onnx: bytes, wanted: Wanted, timings: bytes = b"") -> Built:
    """Builds a plan; precision is the graph's own, since TensorRT 11 types strongly.

    Args:
        trt: the module.
        onnx: a file with one input, whose first dimension is free.
        wanted: how the plan shall be.
        timings: timing cache of an earlier build; one of another device or version is left aside.

    Raises:
        RefusedError: TensorRT does not read the file, or finds no plan for it.
    """
    start = time.monotonic()
    heard: list[str] = []
    logger = _listener(trt, heard)
    builder = _started(trt, logger, heard)
    network = builder.create_network()
    parser = trt.OnnxParser(network, logger)  # holds the weights until the plan is built
    if not parser.parse(onnx):
        raise RefusedError(f"does not read the graph: {_joined(_errors(parser))}")
    config = _configured(trt, builder, network, wanted)
    if not wanted.target:
        _use(config, timings)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RefusedError(f"builds no plan: {_joined(heard) or 'it does not say why'}")
    learned = b"" if wanted.target else bytes(config.get_timing_cache().serialize())
    return Built(bytes(plan), learned, time.monotonic() - start)


def _listener(trt: TensorRT, heard: list[str]) -> object:
    base: Any = trt.ILogger

    class Listener(base):  # type: ignore[misc] # the class comes from the module
        """Keeps errors and says nothing: the default logger writes to the terminal."""

        def __init__(self) -> None:
            base.__init__(self)  # the bindings want it called so

        def log(self, severity: int, message: str) -> None:
            """Hears a message."""
            if int(severity) <= _ERROR:
                heard.append(message)

    return Listener()


def _started(trt: TensorRT, logger: object, heard: list[str]) -> Builder:
    try:
        return trt.Builder(logger)
    except TypeError as error:  # what the bindings make of no builder
        raise RefusedError(f"does not start: {_joined(heard) or error}") from error


def _errors(parser: Parser) -> list[str]:
    return [str(parser.get_error(index)) for index in range(parser.num_errors)]


def _configured(trt: TensorRT, builder: Builder, network: Network, wanted: Wanted) -> Config:
    config = builder.create_builder_config()
    if wanted.target:
        _aim(cast("TensorRTRTX", trt), cast("PortableConfig", config), wanted.target)
    if wanted.level is not None:
        config.builder_optimization_level = wanted.level
    tensor = network.get_input(0)
    profile = builder.create_optimization_profile()
    shapes = ((batch, *tuple(tensor.shape)[1:]) for batch in (1, wanted.opt_batch, wanted.max_batch))
    profile.set_shape(tensor.name, *shapes)
    config.add_optimization_profile(profile)
    return config


def _use(config: Config, timings: bytes) -> None:
    if not config.set_timing_cache(config.create_timing_cache(timings), ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def _aim(trt: TensorRTRTX, config: PortableConfig, target: str) -> None:
    known = trt.ComputeCapability.__members__
    config.num_compute_capabilities = 1  # without it the next call does nothing
    if target.upper() not in known or not config.set_compute_capability(known[target.upper()], 0):
        names = ", ".join(name.lower() for name in known if name.startswith("SM"))
        raise RefusedError(f"builds for no {target}, only for {names}")


def _joined(sentences: list[str]) -> str:
    lines = [line for each in sentences for line in each.splitlines()]
    telling = [line for line in lines if _NO_GPU not in line] or lines
    return " ".join(word for line in telling for word in line.split())
