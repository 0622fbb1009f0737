"""Quantises an ONNX file so that every engine computes it in INT8: explicit Q/DQ, symmetric, int8 on both sides.

Weights use seven of the eight bits, -64 to 64. OpenVINO shifts what layers read to uint8, and a CPU without VNNI adds
two products in 16 bits and cuts what exceeds them: 2 x 255 x 127 does, 2 x 255 x 64 does not.
"""

import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from modelkit.compress.strides import without_strides
from modelkit.variants import Pictures

Method = Literal["minmax", "percentile"]

_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
}
_OPERATORS = ["Conv", "Gemm", "MatMul", "Add"]
"""The sums where branches meet are among them, else each would leave INT8 and come back."""
_OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": _OPERATORS,
}
"""TensorRT refuses zero points other than 0 and quantised biases. Only what an operator reads is quantised: between a
convolution and its ReLU a pair would cost a bit and a fusion, and OpenVINO 2026.4 answers wrongly with one there."""


class Reader(CalibrationDataReader):  # type: ignore[misc,unused-ignore] # onnxruntime ships no types
    """Hands pictures over one by one."""

    def __init__(self, tensor: str, pictures: Pictures) -> None:
        self._feeds: Iterator[dict[str, npt.NDArray[np.uint8]]] = iter({tensor: row[np.newaxis]} for row in pictures)

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        """Returns the next picture as a batch of one, None after the last."""
        return next(self._feeds, None)


def quantised(
    model: bytes,
    pictures: Pictures,
    *,
    tensor: str,
    method: Method,
    float_convolutions: int = 0,
    float_depthwise: bool = False,
) -> bytes:
    """Quantises an ONNX file.

    Args:
        model: the file, with float weights.
        pictures: what the ranges of the activations are taken from.
        tensor: name of the model's input.
        method: how a range follows from the values seen: all of them, or all but the rarest.
        float_convolutions: convolutions, counted from the input, that stay as they are.
        float_depthwise: whether convolutions in groups of channels stay as they are, too.
    """
    with tempfile.TemporaryDirectory() as scratch:
        before, after = (Path(scratch) / f"{name}.onnx" for name in ("before", "after"))
        before.write_bytes(prepared(model))
        graph = onnx.load(before).graph
        with redirect_stdout(StringIO()):  # percentiles tell how far they are
            quantize_static(
                before,
                after,
                Reader(tensor, pictures),
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=_METHODS[method],
                op_types_to_quantize=_OPERATORS,
                nodes_to_exclude=_floats(graph, float_convolutions, float_depthwise=float_depthwise),
                extra_options=_OPTIONS,
            )
        return without_strides(after.read_bytes())


def prepared(model: bytes) -> bytes:
    """Returns an ONNX file as quantising reads it: constants folded, shapes known, no dead weights, layers named."""
    with tempfile.TemporaryDirectory() as scratch:
        plain, result = (Path(scratch) / f"{name}.onnx" for name in ("plain", "result"))
        plain.write_bytes(model)
        quant_pre_process(plain, result, skip_symbolic_shape=True)
        return _named(result.read_bytes())


def _named(model: bytes) -> bytes:
    """Names the layers that have no name, by which they are chosen and found again."""
    loaded = onnx.load_from_string(model)
    unnamed = [node for node in loaded.graph.node if node.op_type in _OPERATORS and not node.name]
    for node in unnamed:
        node.name = node.output[0]
    return bytes(loaded.SerializeToString()) if unnamed else model


def _floats(graph: onnx.GraphProto, first: int, *, float_depthwise: bool) -> list[str]:
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    grouped = [node for node in convolutions if any(each.name == "group" and each.i > 1 for each in node.attribute)]
    return [node.name for node in [*convolutions[:first], *(grouped if float_depthwise else ())]]


def count_qdq(model: bytes) -> dict[str, int]:
    """Counts what a file's layers read: convolutions and matrix products, and those of them that read INT8."""
    graph = onnx.load_from_string(model).graph
    dequantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    dequantised |= {node.output[0] for node in graph.node if node.op_type == "MaxPool" and node.input[0] in dequantised}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return {"layers": len(layers), "int8": sum(set(node.input[:2]) <= dequantised for node in layers)}
