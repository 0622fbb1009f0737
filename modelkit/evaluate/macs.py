"""Counts the multiply-accumulates of an ONNX file, as OpenVINO reads it: pruned, quantised or not."""

from math import prod

import openvino

from servicekit.manifest import Recipe


def count_macs(model: bytes, recipe: Recipe) -> int:
    """Returns the multiply-accumulates of one picture, in convolutions and matrix products.

    Args:
        model: the ONNX file.
        recipe: what it takes.
    """
    graph = openvino.Core().read_model(model)
    graph.reshape([1, recipe.height, recipe.width, 3])
    return sum(_macs(node) for node in graph.get_ops())


def _macs(node: openvino.Node) -> int:
    kind = node.get_type_name()
    if kind not in ("Convolution", "GroupConvolution", "MatMul"):
        return 0
    left, right = (list(node.input(index).get_shape()) for index in (0, 1))
    output = list(node.output(0).get_shape())
    if kind == "MatMul":
        transposed = node.get_attributes()["transpose_a"]
        return int(prod(output) * left[-2 if transposed and len(left) > 1 else -1])
    return int(prod(right) * prod(output[2:]))
