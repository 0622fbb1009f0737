"""Rounding weights together changes sums less than the nearest integers do. Needs the extra `modelkit`."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from modelkit.engine import logits
from modelkit.quantise import quantise
from modelkit.weight_rounding import WIDEST, round_together, with_cancelling_errors


def _lost(
    weights: "np.typing.NDArray[np.float64]",
    rounded: "np.typing.NDArray[np.float64]",
    inputs: "np.typing.NDArray[np.float64]",
) -> float:
    """Returns the mean square of what rounding takes from the sums."""
    errors = weights - rounded
    return float(np.mean(np.square(np.einsum("goi,gni->gon", errors, inputs))))


@pytest.mark.parametrize(("groups", "outputs", "count"), [(1, 16, 48), (12, 1, 9)], ids=["dense", "depthwise"])
def test_errors_cancel(groups: int, outputs: int, count: int) -> None:
    """With inputs that go together, sums lose less than half of what the nearest integers lose."""
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((groups, 400, 3)) @ rng.standard_normal((groups, 3, count))
    inputs = shared + 0.2 * rng.standard_normal((groups, 400, count))
    weights = rng.standard_normal((groups, outputs, count))
    scales = np.abs(weights).max(axis=2) / WIDEST * 8  # coarse, to see something
    together = round_together(weights, scales, inputs.swapaxes(1, 2) @ inputs / 400)
    nearest = np.rint(weights / scales[..., None])
    lost, before = (_lost(weights, each * scales[..., None], inputs) for each in (together, nearest))
    assert lost < 0.5 * before


def test_independent_inputs_want_the_nearest() -> None:
    """Where no input goes with another, nothing can be made up for: every weight is rounded to the nearest."""
    rng = np.random.default_rng(2)
    weights = rng.standard_normal((1, 4, 30))
    scales = np.full((1, 4), 0.05)
    together = round_together(weights, scales, np.diag(rng.uniform(0.1, 2, 30))[None])
    np.testing.assert_array_equal(np.clip(np.rint(weights / 0.05), -WIDEST, WIDEST), together)


def test_weights_stay_within_seven_bits() -> None:
    """What others lost is taken over only as far as the bits reach."""
    weights = np.full((1, 1, 8), 64.4)
    together = round_together(weights, np.ones((1, 1)), np.full((1, 8, 8), 1.0))
    assert WIDEST == together.max()


def test_inputs_that_are_never_there_change_nothing() -> None:
    """A dead channel has no moments at all; its weights are rounded to the nearest, and nothing is divided by 0."""
    weights = np.array([[[0.4, 1.6, -2.2]]])
    assert [[[0, 2, -2]]] == round_together(weights, np.ones((1, 1)), np.zeros((1, 3, 3))).tolist()


def _convolution(weights: "np.typing.NDArray[np.float32]", quantised: bool, **attributes: Any) -> bytes:
    """Returns a convolution of 7 x 7 pixels; its weights are floats, or integers that are still to be rounded."""
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels", "weights"], ["seen"], name="layer", **attributes),
    ]
    constants = {"weights": weights}
    if quantised:
        scales = np.full(len(weights), 0.1, np.float32)
        constants = {"integers": np.zeros(weights.shape, np.int8), "scales": scales}
        nodes.insert(0, helper.make_node("DequantizeLinear", ["integers", "scales"], ["weights"], axis=0))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 7, 7, 3])
    seen = helper.make_tensor_value_info("seen", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "net", [image], [seen], tensors)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 0, 2), (2, 2, 2)], ids=str)
def test_a_convolution_is_fitted_to_what_it_reads(stride: int, padding: int, dilation: int) -> None:
    """The inputs whose products count are those that torch unfolds, at each place of every picture."""
    rng = np.random.default_rng(4)
    weights = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    pictures = rng.integers(0, 256, (5, 7, 7, 3), np.uint8)
    how = {"strides": [stride] * 2, "pads": [padding] * 4, "dilations": [dilation] * 2}
    files = [_convolution(weights, quantised, **how) for quantised in (True, False)]
    model = onnx.load_from_string(with_cancelling_errors(files[0], files[1], pictures, tensor="image"))
    (found,) = (numpy_helper.to_array(each) for each in model.graph.initializer if each.name == "integers")
    floats = torch.from_numpy(pictures).permute(0, 3, 1, 2).double()
    read = torch.nn.functional.unfold(floats, 3, dilation=dilation, padding=padding, stride=stride)
    moments = (torch.einsum("nip,njp->ij", read, read) / len(pictures)).numpy()
    expected = round_together(weights.astype(np.float64).reshape(1, 4, 27), np.full((1, 4), 0.1), moments[np.newaxis])
    np.testing.assert_array_equal(expected.reshape(weights.shape), found)


def test_layers_need_no_names() -> None:
    """ONNX lets nodes be without one: a network from elsewhere answers as before, each layer with its own weights."""
    rng = np.random.default_rng(5)
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels", "one", "bias"], ["middle"]),
        helper.make_node("Conv", ["middle", "two", "bias"], ["last"]),
        helper.make_node("GlobalAveragePool", ["last"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["logits"]),
    ]
    shapes = {"one": (4, 3, 3, 3), "two": (4, 4, 3, 3), "bias": (4,)}
    tensors = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 7, 7, 3])
    answer = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph(nodes, "net", [image], [answer], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    pictures = rng.integers(0, 256, (16, 7, 7, 3), np.uint8)
    small = quantise(model, pictures, tensor="image", float_convolutions=0)
    before, after = (logits(each, pictures, precision="f32") for each in (model, small))
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.99
