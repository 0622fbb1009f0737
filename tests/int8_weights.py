"""Looks at the weights of a quantised model."""

from typing import Any

import numpy.typing as npt
import onnx
from onnx import numpy_helper


def widest_weight(model: bytes) -> int:
    """Returns the largest magnitude of the integers that convolutions and matrix products compute with."""
    graph = onnx.load_from_string(model).graph
    integers = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    used = {integers[node.input[1]] for node in layers if node.input[1] in integers}
    weights = [numpy_helper.to_array(each).astype(int) for each in graph.initializer if each.name in used]
    return max(int(abs(each).max()) for each in weights)


def pairs_fit(model: bytes) -> bool:
    """Tells whether two products always fit into the 16 bits where a CPU without VNNI adds them."""
    return 2 * 255 * widest_weight(model) <= 2**15 - 1


def float_weights(model: bytes) -> list[npt.NDArray[Any]]:
    """Returns the weights of convolutions and matrix products that are floats."""
    graph = onnx.load_from_string(model).graph
    used = {node.input[1] for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
    return [numpy_helper.to_array(each) for each in graph.initializer if each.name in used]


def eight_bits(model: bytes) -> bytes:
    """Returns a quantised model whose weights use twice the integers, with half the scales: it says the same."""
    loaded = onnx.load_from_string(model)
    weights = {each.name: each for each in loaded.graph.initializer}
    for node in loaded.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in weights:
            integers, scale = (weights[name] for name in node.input[:2])
            doubled = (2 * numpy_helper.to_array(integers).astype(int)).clip(-127, 127).astype("int8")
            integers.CopyFrom(numpy_helper.from_array(doubled, integers.name))
            scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) / 2, scale.name))
    return bytes(loaded.SerializeToString())
