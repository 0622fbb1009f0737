"""Correcting the biases of a quantised network. Needs the extra `modelkit`."""

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelkit.bias_correction import corrected

WEIGHTS = np.array([[0.4, 0.3, 0.2], [-0.6, 1.2, 0.0]], np.float32).reshape(2, 3, 1, 1)
INTEGERS = np.array([[0, 0, 0], [-1, 1, 0]], np.int8).reshape(2, 3, 1, 1)
PICTURES = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (10, 30)])

Arrays = dict[str, npt.NDArray[np.generic]]


def _model(constants: Arrays, *nodes: onnx.NodeProto) -> bytes:
    read = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["read"], perm=[0, 3, 1, 2]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [None, 2, 2, 3])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [None, 2, 2, 2])
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph([*read, *nodes], "g", [image], [answer], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


def _convolution(weights: str, *bias: str) -> onnx.NodeProto:
    return helper.make_node("Conv", ["read", weights, *bias], ["answer"], "layer")


def _original() -> bytes:
    return _model({"w": WEIGHTS, "b": np.zeros(2, np.float32)}, _convolution("w", "b"))


def test_the_mean_shift_moves_into_the_bias() -> None:
    """Weights that lost 0.9 and 0.6 shift outputs by -18 and -12, reading 20."""
    constants: Arrays = {"wq": INTEGERS, "ws": np.ones(2, np.float32), "b": np.array([0.5, -0.25], np.float32)}
    weights = helper.make_node("DequantizeLinear", ["wq", "ws"], ["w"], axis=0)
    quantised = _model(constants, weights, _convolution("w", "b"))
    model = onnx.load_from_string(corrected(quantised, _original(), PICTURES, tensor="image"))
    values = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    assert [0.5 + 18, -0.25 + 12] == pytest.approx(values["b"].tolist(), abs=1e-4)
    assert np.array_equal(INTEGERS, values["wq"])


def test_the_mean_shift_of_rounded_floats_moves_into_the_bias() -> None:
    """Weights that lost 0.4 and 0.1, reading 20, shift outputs by -8 and -2."""
    rounded = WEIGHTS - np.array([0.4, 0.1], np.float32).reshape(2, 1, 1, 1) / 3
    file = _model({"w": rounded, "b": np.zeros(2, np.float32)}, _convolution("w", "b"))
    model = onnx.load_from_string(corrected(file, _original(), PICTURES, tensor="image"))
    values = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    assert [8, 2] == pytest.approx(values["b"].tolist(), abs=1e-4)
    assert np.array_equal(rounded, values["w"])


@pytest.mark.parametrize("bias", [("b",), ()])
def test_floats_stay(bias: tuple[str, ...]) -> None:
    """What is not rounded, or has no bias, is left as it is."""
    constants: Arrays = {"w": WEIGHTS, "b": np.zeros(2, np.float32)}
    plain = _model(constants, _convolution("w", *bias))
    assert plain == corrected(plain, _original(), PICTURES, tensor="image")
