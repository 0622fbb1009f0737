"""Rounds the weights of a quantised network so that their errors cancel in what its layers answer.

The nearest integer is best for a weight by itself. A layer's inputs rise and fall together, though, so what one weight
loses others can make up for. Weights are rounded one after the other, those with the strongest inputs first, and each
time those that are left take over what was lost (Frantar and others, 2022: GPTQ).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from modelkit.graph import dequantised, read_constants
from modelkit.variants import Pictures

WIDEST = 64
"""Largest magnitude of a weight that uses seven bits."""
_POSITIONS = 32
"""Of a picture, at which a convolution's inputs are looked at."""
_DAMPING = 0.3
"""Added to each input's power, as a share of the mean: how little the pictures are trusted to have shown everything.
Of 0.01 to 1, tried on EfficientNet-Lite0, this changed the fewest answers."""
_TOGETHER = 32
"""Pictures whose products are summed at once, since large products are faster."""
_SEED = 3

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Layer:
    """Is a convolution, or a matrix product with a row for each output, whose weights are integers with scales."""

    node: onnx.NodeProto
    """As it was before, with float weights."""
    weights: npt.NDArray[np.float32]
    """What it had, outputs first."""
    scales: npt.NDArray[np.float32]
    """By output."""
    integers: str
    """Name of what it has now."""

    @property
    def groups(self) -> int:
        """Returns how many parts read channels of their own."""
        return int(_attributes(self.node).get("group", 1))

    def rounded(self, moments: _Numbers) -> npt.NDArray[np.int8]:
        """Returns the integers, in the weights' shape.

        Args:
            moments: `[groups, inputs, inputs]`, how inputs go together.
        """
        parts = self.weights.astype(np.float64).reshape(self.groups, len(self.weights) // self.groups, -1)
        scales = self.scales.astype(np.float64).reshape(parts.shape[:2])
        return round_together(parts, scales, moments).reshape(self.weights.shape)


def with_cancelling_errors(quantised: bytes, original: bytes, pictures: Pictures, *, tensor: str) -> bytes:
    """Returns a quantised ONNX file with its weights rounded anew, to the same scales.

    Args:
        quantised: the file; weights of a layer are explicit Q/DQ, symmetric, with a scale for each output.
        original: what it was made of; nodes have the same names in both.
        pictures: what shows how inputs go together.
        tensor: name of the model's input.
    """
    model = onnx.load_from_string(quantised)
    tensors = {each.name: each for each in model.graph.initializer}
    before = onnx.load_from_string(original)
    layers = list(_layers(model.graph, before.graph))
    for layer, moments in zip(layers, _moments(before, layers, pictures, tensor), strict=True):
        tensors[layer.integers].CopyFrom(numpy_helper.from_array(layer.rounded(moments), layer.integers))
    result: bytes = model.SerializeToString()
    return result


def round_together(weights: _Numbers, scales: _Numbers, moments: _Numbers) -> npt.NDArray[np.int8]:
    """Rounds weights to multiples of their scales so that sums of weighted inputs change little.

    Args:
        weights: `[groups, outputs, inputs]`.
        scales: `[groups, outputs]`.
        moments: `[groups, inputs, inputs]`, the mean product of each two inputs.

    Returns:
        The multiples, -64 to 64, in the weights' shape.
    """
    power = np.diagonal(moments, axis1=1, axis2=2)
    order = np.argsort(-power, axis=1, kind="stable")
    left = np.take_along_axis(weights, order[:, None], axis=2)
    upper = _upper(np.take_along_axis(np.take_along_axis(moments, order[:, :, None], 1), order[:, None], 2))
    result = np.empty_like(left)
    for column in range(left.shape[2]):
        result[:, :, column] = np.clip(np.rint(left[:, :, column] / scales), -WIDEST, WIDEST)
        lost = (left[:, :, column] - result[:, :, column] * scales) / upper[:, None, column, column]
        left[:, :, column:] -= lost[:, :, None] * upper[:, None, column, column:]
    return np.take_along_axis(result, np.argsort(order, axis=1)[:, None], axis=2).astype(np.int8)


def _upper(moments: _Numbers) -> _Numbers:
    """Returns the upper triangle whose square is the inverse of damped moments."""
    power = np.diagonal(moments, axis1=1, axis2=2).mean(axis=1)
    damping = np.where(power > 0, _DAMPING * power, 1.0)  # inputs that are never there tell nothing
    inverse = np.linalg.inv(moments + damping[:, None, None] * np.eye(moments.shape[1]))
    return np.asarray(np.linalg.cholesky(inverse).swapaxes(1, 2))


def _layers(graph: onnx.GraphProto, before: onnx.GraphProto) -> Iterator[_Layer]:
    constants, old = read_constants(graph), read_constants(before)
    integers = dequantised(graph, constants)
    nodes = {node.name: node for node in before.node}
    for node in graph.node:
        if node.input and node.op_type in ("Conv", "Gemm") and node.input[1] in integers and _understood(node):
            values, scales = integers[node.input[1]].input[:2]
            weights = old[nodes[node.name].input[1]]
            scale = np.broadcast_to(constants[scales], len(weights))
            yield _Layer(nodes[node.name], weights, scale, values)


def _understood(node: onnx.NodeProto) -> bool:
    attributes = _attributes(node)
    if node.op_type == "Conv":
        return bool(attributes.get("auto_pad", b"NOTSET") == b"NOTSET")
    return bool(attributes.get("transB"))


def _moments(model: onnx.ModelProto, layers: list[_Layer], pictures: Pictures, tensor: str) -> list[_Numbers]:
    """Returns the mean product of each two inputs of each layer, at some positions of the pictures."""
    rng = np.random.default_rng(_SEED)
    names = list(dict.fromkeys(layer.node.input[0] for layer in layers))
    session = onnxruntime.InferenceSession(_told(model, names), providers=["CPUExecutionProvider"])
    sums: list[_Numbers] = []
    for start in range(0, len(pictures), _TOGETHER):
        rows = pictures[start : start + _TOGETHER]
        parts = [_seen(session, layers, {tensor: row[np.newaxis]}, rng) for row in rows]
        inputs = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
        found = [(each.swapaxes(1, 2) @ each).astype(np.float64) for each in inputs]
        sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
    return [each / len(pictures) for each in sums]


def _seen(
    session: onnxruntime.InferenceSession,
    layers: list[_Layer],
    picture: dict[str, npt.NDArray[np.uint8]],
    rng: np.random.Generator,
) -> list[npt.NDArray[np.float32]]:
    names = [output.name for output in session.get_outputs()]
    tensors = dict(zip(names, session.run(names, picture), strict=True))
    return [_inputs(layer, tensors[layer.node.input[0]], rng) for layer in layers]


def _told(model: onnx.ModelProto, names: list[str]) -> bytes:
    """Returns the model with tensors as outputs."""
    told = onnx.ModelProto()
    told.CopyFrom(model)
    del told.graph.output[:]
    told.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    result: bytes = told.SerializeToString()
    return result


def _inputs(layer: _Layer, seen: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Returns what some sums of a layer are of: `[groups, sums, inputs]`."""
    if layer.node.op_type == "Gemm":
        return seen[np.newaxis]
    attributes = _attributes(layer.node)
    down, across = attributes.get("strides", (1, 1))
    apart = attributes.get("dilations", (1, 1))
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    padded = np.pad(seen[0], ((0, 0), (top, bottom), (left, right)))
    reach = [each * (size - 1) + 1 for each, size in zip(apart, layer.weights.shape[2:], strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))
    windows = windows[:, ::down, ::across, :: apart[0], :: apart[1]]
    height, width = windows.shape[1:3]
    at = rng.choice(height * width, min(_POSITIONS, height * width), replace=False)
    some = windows[:, at // width, at % width]
    parts = some.reshape(layer.groups, len(some) // layer.groups, len(at), -1)
    return parts.swapaxes(1, 2).reshape(layer.groups, len(at), -1)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
