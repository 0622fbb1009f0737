"""Rounds weights that stay floats to what bf16 holds.

A CPU that has bf16 rounds them so when it loads a model, another one does not. Rounded in the file they are the same on
both, and what the rounding shifts on average can come back through the biases (`modelkit.bias_correction`).
"""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper


def with_bf16_weights(model: bytes) -> bytes:
    """Returns an ONNX file whose convolutions and matrix products have float weights that bf16 holds without loss."""
    loaded = onnx.load_from_string(model)
    tensors = {each.name: each for each in loaded.graph.initializer}
    for node in loaded.graph.node:
        if node.op_type in ("Conv", "Gemm") and (weights := tensors.get(node.input[1])) is not None:
            weights.CopyFrom(numpy_helper.from_array(bf16(numpy_helper.to_array(weights)), weights.name))
    result: bytes = loaded.SerializeToString()
    return result


def bf16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns the nearest bf16 of finite fp32 values, the even one of two as near, as fp32 of the same shape."""
    bits = values.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)
