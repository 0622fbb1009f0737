"""A small INT8 network with a 1 x 1 convolution of stride 2 beside a 3 x 3 one, as where a residual network halves."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, WRITTEN, LEFT = 14, 56, 7


def strided_model(channels: int) -> bytes:
    """Returns the ONNX file: fp32 `[n, channels, 14, 14]` in, `[n, 56, 7, 7]` out of each convolution."""
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["rounded"]),
            helper.make_node("DequantizeLinear", ["rounded", "scale", "zero"], ["read"]),
            *_convolution("one", 1),
            *_convolution("three", 3),
        ],
        "strided",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", channels, SIDE, SIDE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WRITTEN, LEFT, LEFT])
            for name in ("one", "three")
        ],
        [numpy_helper.from_array(value, name) for name, value in _constants(channels).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return bytes(onnx.ModelProto.SerializeToString(model))


def pictures(channels: int, batch: int) -> npt.NDArray[np.float32]:
    """Returns inputs drawn at random."""
    return np.random.default_rng(0).uniform(0, 6, (batch, channels, SIDE, SIDE)).astype(np.float32)


def _convolution(name: str, size: int) -> list[onnx.NodeProto]:
    options: dict[str, Any] = {"kernel_shape": [size, size], "strides": [2, 2], "pads": [size // 2] * 4}
    return [
        helper.make_node("DequantizeLinear", [f"{name}_weight", "weight_scale", "weight_zero"], [f"{name}_w"], axis=0),
        helper.make_node("Conv", ["read", f"{name}_w"], [f"{name}_sum"], **options),
        helper.make_node("Relu", [f"{name}_sum"], [name]),
    ]


def _constants(channels: int) -> dict[str, npt.NDArray[Any]]:
    rng = np.random.default_rng(1)
    weights = {
        f"{name}_weight": rng.integers(-64, 65, (WRITTEN, channels, size, size)).astype(np.int8)
        for name, size in (("one", 1), ("three", 3))
    }
    return {
        "scale": np.array(0.05, np.float32),
        "zero": np.zeros((), np.int8),
        "weight_scale": np.full(WRITTEN, 0.01, np.float32),
        "weight_zero": np.zeros(WRITTEN, np.int8),
        **weights,
    }
