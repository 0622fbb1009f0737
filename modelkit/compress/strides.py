"""Takes strides out of 1 x 1 convolutions that OpenVINO computes wrongly: a pool of one pixel leaves the pixels out.

OpenVINO's INT8 convolution of 1 x 1 gathers the pixels that a stride keeps before it computes, each thread in a place
of its own. With AVX2 it copies 16 channels at a time: where they are no multiple of 16, the last pixel's reach into the
next thread's place, which answers wrongly when it loses the race (OpenVINO 2026.4; `rtus_driver_t` in oneDNN, whose
issue 6035 knows the like of another pass). With AVX-512 the rest is masked.

Not every such convolution is changed, since the pool costs more than that gathering: 5 to 10 % of a small network.
"""

import onnx
from onnx import helper

_WHOLE = 16
"""Channels that are copied at a time."""


def racing(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Returns the convolutions that are answered wrongly now and then."""
    channels = _channels_read(graph)
    strided = [node for node in graph.node if _strides(node) is not None]
    return [node for node in strided if channels.get(node.input[1], 0) % _WHOLE]


def without_strides(model: bytes) -> bytes:
    """Returns the ONNX file with pools in place of the strides of such convolutions; it says the same."""
    loaded = onnx.load_from_string(model)
    wrong = {node.output[0] for node in racing(loaded.graph)}
    nodes = list(loaded.graph.node)
    del loaded.graph.node[:]
    for node in nodes:
        strides = _strides(node) if node.output[0] in wrong else None
        if strides is not None:
            loaded.graph.node.append(_pool(node, list(strides.ints)))
            node.input[0] = loaded.graph.node[-1].output[0]
            strides.ints[:] = [1] * len(strides.ints)
        loaded.graph.node.append(node)
    return loaded.SerializeToString()


def _channels_read(graph: onnx.GraphProto) -> dict[str, int]:
    """Returns how many channels a convolution reads, by the name of its weight, of those that come in INT8."""
    channels = {weight.name: weight.dims[1] for weight in graph.initializer if len(weight.dims) > 1}
    scaled = [node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in channels]
    return {node.output[0]: channels[node.input[0]] for node in scaled}


def _strides(node: onnx.NodeProto) -> onnx.AttributeProto | None:
    """Returns what says that a convolution of one pixel leaves pixels out, None of every other node."""
    known = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type != "Conv" or "strides" not in known or "kernel_shape" not in known:
        return None
    one_pixel = set(known["kernel_shape"].ints) == {1} and not any(known["pads"].ints if "pads" in known else ())
    return known["strides"] if one_pixel and set(known["strides"].ints) != {1} else None


def _pool(node: onnx.NodeProto, strides: list[int]) -> onnx.NodeProto:
    name = f"{node.output[0]}_pixels"
    return helper.make_node("MaxPool", [node.input[0]], [name], name, kernel_shape=[1] * len(strides), strides=strides)
