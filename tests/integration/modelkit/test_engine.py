"""The engine that judges files answers as the one that serves."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import openvino
from onnx import TensorProto, helper, numpy_helper

from modelkit.engine import compiled

SIDE, CLASSES = 8, 5


def _scaled() -> bytes:
    """Returns a network whose first step bf16 cannot compute exactly: (x - 72.9) / 90."""
    constants: dict[str, npt.NDArray[Any]] = {
        "mean": np.full(3, 72.9, np.float32),
        "std": np.full(3, 90, np.float32),
        "weights": np.random.default_rng(1).normal(size=(CLASSES, 3, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights"], ["maps"]),
        helper.make_node("ReduceMean", ["maps"], ["logits"], axes=[2, 3], keepdims=0),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [None, SIDE, SIDE, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, CLASSES])
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "scaled", [image], [logits], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _served(model: bytes, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Returns the logits of one picture from an engine for one, as Triton's backend compiles it."""
    core = openvino.Core()
    read = core.read_model(model)
    read.reshape([1, SIDE, SIDE, 3])
    engine = core.compile_model(read, "CPU", {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1})
    answer: npt.NDArray[np.float32] = engine(picture[np.newaxis])[0][0].copy()
    return answer


def test_what_judges_answers_as_what_serves() -> None:
    """To the last bit, for a full batch and what remains of the pictures."""
    model = _scaled()
    pictures = np.random.default_rng(2).integers(0, 256, (11, SIDE, SIDE, 3), np.uint8)
    expected = np.stack([_served(model, picture) for picture in pictures])
    assert np.array_equal(expected, compiled(model)(pictures))
