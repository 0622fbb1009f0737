"""Runs an ONNX file on OpenVINO, the engine that serves on the CPU, to see what it answers."""

from collections.abc import Callable
from functools import cache

import numpy as np
import openvino

from modelkit.gate import Logits
from modelkit.variants import Pictures

_BATCH = 8


def logits(model: bytes, pictures: Pictures, *, precision: str = "") -> Logits:
    """Returns the logits of pictures.

    Args:
        model: the ONNX file; its first dimension is free.
        pictures: what the model takes.
        precision: as in `compiled`.
    """
    return compiled(model, precision=precision)(pictures)


def compiled(model: bytes, *, precision: str = "", threads: int = 0) -> Callable[[Pictures], Logits]:
    """Compiles a model, and returns what answers pictures with their logits.

    Args:
        model: the ONNX file; its first dimension is free.
        precision: `f32` to compute every float operation in it; by default what OpenVINO serves with, which is bf16
            where the CPU has it. Integer operations stay integer.
        threads: how many compute; 0 for what OpenVINO chooses.
    """
    settings: dict[str, object] = {"ENABLE_CPU_PINNING": False}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    read = core.read_model(model)

    @cache
    def engine(size: int) -> openvino.CompiledModel:
        """Compiles for one batch size, as serving does: for any size OpenVINO rounds otherwise in bf16."""
        sized = read.clone()
        shape = sized.input(0).get_partial_shape()
        shape[0] = size
        sized.reshape(shape)
        return core.compile_model(sized, "CPU", settings)

    def answer(pictures: Pictures) -> Logits:
        batches = [pictures[start : start + _BATCH] for start in range(0, len(pictures), _BATCH)]
        return np.concatenate([engine(len(batch))(batch)[0] for batch in batches])

    return answer


def float_precision() -> str:
    """Names the type in which OpenVINO computes float operations on this machine: `f32` or `bf16`."""
    return str(openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT").to_string())


def int8_convolutions(model: bytes) -> tuple[int, int]:
    """Counts the convolutions that OpenVINO really computes in INT8, and all of them."""
    core = openvino.Core()
    runtime = core.compile_model(core.read_model(model), "CPU").get_runtime_model()
    infos = [node.get_rt_info() for node in runtime.get_ops()]
    precisions = [_text(info["runtimePrecision"]) for info in infos if _text(info["layerType"]) == "Convolution"]
    return sum(precision in ("i8", "u8") for precision in precisions), len(precisions)


def _text(value: openvino.OVAny) -> str:
    return str(value.astype(str))
