"""ONNX files from elsewhere: what is taken, what is refused, and what wrapping makes of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from modelkit.importing.onnx_file import check, wrap
from modelkit.importing.preparation import Preparation
from modelkit.release.structure import check_structure
from modelkit.train.recipe import RecipeError
from servicekit.manifest import Output, Recipe

PREPARATION = Preparation(Recipe(width=4, height=4, crop=1.0), (10.0, 20.0, 30.0), (2.0, 4.0, 8.0))


def classifier(
    kind: int = TensorProto.FLOAT,
    shape: Sequence[int | str] = ("n", 3, 4, 4),
    *,
    last: str = "",
    name: str = "pixel_values",
    opset: int = 17,
    outputs: int = 1,
) -> onnx.ModelProto:
    """Returns a network whose two logits are the mean of the first channel and that of the last."""
    axes = [2, 3] if shape[1] == 3 else [1, 2]
    first = [helper.make_node("Cast", [name], ["floats"], to=TensorProto.FLOAT)]
    names = ["mean" if last else "answer"]
    nodes = [
        *first,
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], names),
    ]
    if last:
        nodes.append(helper.make_node(last, ["mean"], ["answer"]))
    weights = numpy_helper.from_array(np.array([[1, 0], [0, 0], [0, 1]], np.float32), "weights")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, shape)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 2])] * outputs,
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def wrapped(model: onnx.ModelProto) -> bytes:
    """Checks and wraps."""
    return wrap(check(model.SerializeToString()), PREPARATION, Output(classes=2))


@pytest.mark.parametrize("shape", [("n", 3, 4, 4), (1, 3, "h", "w"), ("n", 4, 4, 3)], ids=["nchw", "free", "nhwc"])
@pytest.mark.parametrize("name", ["pixel_values", "image", "logits", "triptych_mean"])
def test_floats_are_made_in_the_graph(shape: Sequence[int | str], name: str) -> None:
    """Cast, normalised, transposed where the channels come first; and it passes the gate of structure."""
    data = wrapped(classifier(shape=shape, name=name))
    assert "fp32" == check_structure(data, PREPARATION.input, Output(classes=2))
    pixels = np.random.default_rng(1).integers(0, 256, (3, 4, 4, 3), np.uint8)
    (logits,) = ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"image": pixels})
    expected = ((pixels - [10, 20, 30]) / [2, 4, 8]).mean(axis=(1, 2))[:, [0, 2]]
    np.testing.assert_allclose(expected, np.asarray(logits), rtol=1e-5)


def test_a_file_that_takes_pixels_keeps_them() -> None:
    """It normalises itself: only the names become serving's."""
    data = wrapped(classifier(TensorProto.UINT8, ("n", 4, 4, 3)))
    check_structure(data, PREPARATION.input, Output(classes=2))
    pixels = np.random.default_rng(1).integers(0, 256, (3, 4, 4, 3), np.uint8)
    (logits,) = ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"image": pixels})
    np.testing.assert_allclose(pixels.mean(axis=(1, 2))[:, [0, 2]], np.asarray(logits), rtol=1e-5)


@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax"])
def test_probabilities_become_logits(last: str) -> None:
    """Serving divides logits by a temperature: the last operator goes, and that is told."""
    checked = check(classifier(last=last).SerializeToString())
    assert (f"the last operator, {last}, was left out: serving wants logits",) == checked.notes
    graph = onnx.load_from_string(wrap(checked, PREPARATION, Output(classes=2))).graph
    assert last not in {node.op_type for node in graph.node}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"shape": ("n", 1, 4, 4)}, r"the input pixel_values is float \['n', 1, 4, 4\]: it must be float or uint8"),
        ({"shape": ("n", 3, 4)}, "it must be float or uint8"),
        ({"kind": TensorProto.FLOAT16}, "is float16"),
        ({"kind": TensorProto.UINT8}, "uint8 with the channels first, which TensorRT does not read"),
        ({"opset": 9}, "its opset is 9; 13 to 23 are read"),
    ],
)
def test_other_files_are_refused(changes: dict[str, Any], why: str) -> None:
    """With what the file has and what is needed."""
    with pytest.raises(RecipeError, match=why):
        check(classifier(**changes).SerializeToString())


def test_two_outputs_are_refused() -> None:
    """Nothing says which one holds the logits."""
    model = classifier()
    model.graph.output.append(helper.make_tensor_value_info("means", TensorProto.FLOAT, ["n", 3]))
    with pytest.raises(RecipeError, match="the file has 2 outputs, one is needed: answer, means"):
        check(model.SerializeToString())


def test_other_sizes_and_classes_are_refused() -> None:
    """What the file is fixed to must be what is asked for."""
    checked = check(classifier(shape=("n", 3, 8, 8)).SerializeToString())
    with pytest.raises(RecipeError, match=r"the file takes \(8, 8\) pixels, not 4 x 4"):
        wrap(checked, PREPARATION, Output(classes=2))


def test_what_lies_outside_the_file_is_refused(tmp_path: Any) -> None:
    """Weights in another file would be read from wherever the file says."""
    model = classifier()
    weight = model.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")
    weight.ClearField("raw_data")
    with pytest.raises(RecipeError, match="the weights lie in another file"):
        check(model.SerializeToString())


def test_foreign_operators_are_refused() -> None:
    """Of an engine's own domain, or made of functions that the file brings along."""
    model = classifier()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(RecipeError, match=r"not those of com\.microsoft"):
        check(model.SerializeToString())


@pytest.mark.parametrize("cut", [0, 1, 50, 200])
def test_damage_is_told(cut: int) -> None:
    """A file that is cut off anywhere makes an error that says so, and no model."""
    data = classifier().SerializeToString()[:cut]
    with pytest.raises(RecipeError):
        check(data)
