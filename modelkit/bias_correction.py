"""Gives the biases of a network what rounding its weights takes from its answers.

What a layer reads comes from a ReLU mostly and is never negative, so the errors of a channel's rounded weights do not
cancel: on average they shift its outputs. How far is measured on pictures and taken out of the bias, which costs
nothing when the network serves.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper

from modelkit.graph import Constants, dequantised, read_constants
from modelkit.variants import Pictures

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Layer:
    """Is a convolution or matrix product whose weights were rounded: to integers with scales, or to shorter floats."""

    name: str
    weights: _Numbers
    """What it multiplies with; outputs come first."""
    bias: str
    """Name of its floats."""


def corrected(quantised: bytes, original: bytes, pictures: Pictures, *, tensor: str) -> bytes:
    """Returns an ONNX file whose weights were rounded with its biases corrected.

    Each layer is corrected for its own weights alone: it reads what the original's layers give it.

    Args:
        quantised: the file; weights of a layer are explicit Q/DQ or floats, biases are floats. Layers without bias,
            or whose weights are the original's, stay as they are.
        original: what it was made of; nodes have the same names in both.
        pictures: what the shifts are averaged over.
        tensor: name of the model's input.
    """
    model = onnx.load_from_string(quantised)
    tensors = {each.name: each for each in model.graph.initializer}
    layers = _layers(model.graph, _weights(onnx.load_from_string(original).graph))
    if not layers:
        return quantised
    for layer, shift in zip(layers, _shifts(original, layers, pictures, tensor), strict=True):
        bias = tensors[layer.bias]
        moved = (numpy_helper.to_array(bias) - shift).astype(np.float32)
        bias.CopyFrom(numpy_helper.from_array(moved, layer.bias))
    result: bytes = model.SerializeToString()
    return result


def _layers(graph: onnx.GraphProto, before: Constants) -> list[_Layer]:
    """Returns the layers whose weights are others than before."""
    constants = read_constants(graph)
    from_integers = dequantised(graph, constants)
    layers = []
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm") or len(node.input) != 3 or node.input[2] not in constants:
            continue
        weights, bias = node.input[1:]
        if weights in from_integers:
            layers.append(_Layer(node.name, _values(from_integers[weights], constants), bias))
        elif weights in constants:
            layers.append(_Layer(node.name, constants[weights].astype(np.float64), bias))
    return [each for each in layers if not np.array_equal(each.weights, before[each.name])]


def _values(weights: onnx.NodeProto, constants: Constants) -> _Numbers:
    integers, scale = (constants[each].astype(np.float64) for each in weights.input[:2])
    shape = [1] * integers.ndim
    shape[next((each.i for each in weights.attribute if each.name == "axis"), 1)] = scale.size
    return np.asarray(integers * scale.reshape(shape))


def _weights(graph: onnx.GraphProto) -> Constants:
    """Returns the weights of the layers by the layers' names."""
    constants = read_constants(graph)
    nodes = (node for node in graph.node if node.op_type in ("Conv", "Gemm") and node.input[1] in constants)
    return {node.name: constants[node.input[1]] for node in nodes}


def _shifts(original: bytes, layers: list[_Layer], pictures: Pictures, tensor: str) -> list[_Numbers]:
    """Measures how far the rounding of its weights moves each layer's outputs: a mean for each output channel."""
    session = onnxruntime.InferenceSession(_errors_alone(original, layers), providers=["CPUExecutionProvider"])
    each = ([_channel_means(moved) for moved in session.run(None, {tensor: row[np.newaxis]})] for row in pictures)
    sums = reduce(lambda all_before, new: [a + b for a, b in zip(all_before, new, strict=True)], each)
    return [total / len(pictures) for total in sums]


def _errors_alone(original: bytes, layers: list[_Layer]) -> bytes:
    """Returns the original with a twin beside each layer, whose weights are the errors; the twins' outputs come out."""
    model = onnx.load_from_string(original)
    nodes, constants = {node.name: node for node in model.graph.node}, read_constants(model.graph)
    del model.graph.output[:]
    for layer in layers:
        node = nodes[layer.name]
        errors, moved = f"{layer.name}/errors", f"{layer.name}/moved"
        difference = (layer.weights - constants[node.input[1]]).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(difference, errors))
        twin = onnx.helper.make_node(node.op_type, [node.input[0], errors], [moved], moved)
        twin.attribute.extend(node.attribute)
        model.graph.node.append(twin)
        model.graph.output.append(onnx.ValueInfoProto(name=moved))
    result: bytes = model.SerializeToString()
    return result


def _channel_means(answer: npt.NDArray[np.float32]) -> _Numbers:
    """Averages `[n, channels, ...]` over all but the channels."""
    return np.asarray(answer.mean(axis=(0, *range(2, answer.ndim)), dtype=np.float64))
