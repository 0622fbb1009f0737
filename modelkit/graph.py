"""Reads what an ONNX graph has fixed: its constants, and which of them are integers with scales."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import onnx
from onnx import numpy_helper

Constants = Mapping[str, npt.NDArray[Any]]
"""By name of the tensor."""


def read_constants(graph: onnx.GraphProto) -> Constants:
    """Returns the weights of a graph."""
    return {each.name: numpy_helper.to_array(each) for each in graph.initializer}


def dequantised(graph: onnx.GraphProto, known: Constants) -> dict[str, onnx.NodeProto]:
    """Returns what makes floats of constant integers, by the name of the floats.

    Args:
        graph: with explicit Q/DQ.
        known: its constants.
    """
    nodes = (node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in known)
    return {node.output[0]: node for node in nodes}
