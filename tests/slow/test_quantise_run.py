"""Quantising a trained run: a run folder with an INT8 file that every engine takes."""

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from int8_weights import pairs_fit
from slow.toy_training import toy_pictures, toy_recipe, toy_train

from modelkit.compress.qdq import quantised
from modelkit.compress.quantise import Quantising, accuracy, quantise_run
from modelkit.engine import logits
from modelkit.export_run import export_run
from modelkit.release.candidate import check_file, read_candidate
from modelkit.release.structure import check_structure
from modelkit.tensorrt.gate import check_tensorrt
from modelkit.train.recipe import RecipeError
from modelkit.train.run import sha256
from modelkit.train.train import Pictures, Places
from servicekit.manifest import Output

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning"),  # torch's exporter, about itself
    pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxruntime"),
]


def _pictures(*_: object) -> Pictures:
    """Returns the toy's pictures, whose `val` also stands for `test`."""
    with tempfile.TemporaryDirectory() as scratch:
        pictures = toy_pictures(toy_recipe(Path(scratch)), Places())
    return Pictures(pictures.dataset, pictures.labels, {**pictures.splits, "test": pictures.splits["val"]})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a trained run that knows its task."""
    return toy_train(tmp_path_factory.mktemp("runs"), "epochs=12", "augment={}", "ema=null")


def test_an_int8_run_is_a_candidate(run: Path, tmp_path: Path) -> None:
    """Every layer reads INT8 with zero points of 0, OpenVINO computes it so, and publishing takes the folder."""
    result_of_training = json.loads((run / "result.json").read_text())
    plan = Quantising(name="int8", parent=run, calibration=32)
    folder = quantise_run(plan, Places(runs=tmp_path), read=_pictures)
    result, lineage = (json.loads((folder / f"{name}.json").read_text()) for name in ("result", "lineage"))
    layers = result["layers"]
    assert layers["layers"] == layers["int8"] == int(result["int8_convolutions_in_openvino"].split(" of ")[1]) + 1
    assert result["int8_convolutions_in_openvino"] == f"{layers['layers'] - 1} of {layers['layers'] - 1}"
    assert result["macs"] == result_of_training["macs"]
    assert ("quantise", sha256(run / "model.onnx")) == (
        lineage["step"],
        lineage["parents"]["weights"]["model_sha256"],
    )
    candidate = read_candidate(folder)
    check_file(candidate)
    assert "int8" == check_structure(candidate.onnx, candidate.recipe, Output(classes=3))
    assert check_tensorrt(candidate.onnx).by.startswith("TensorRT-RTX 1.")
    graph = onnx.load_from_string(candidate.onnx).graph
    zero_points = {node.input[2] for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    assert all(not weights[each].any() and weights[each].dtype == np.int8 for each in zero_points)
    assert pairs_fit(candidate.onnx)
    assert folder == quantise_run(plan, Places(runs=tmp_path), read=_pictures)


def test_the_engine_answers_as_well_as_before(run: Path) -> None:
    """INT8 through OpenVINO gets as many pictures right as fp32, give or take one of 32."""
    data = export_run(run).model.read_bytes()
    splits = _pictures().splits
    small = quantised(data, splits["train"].pixels, tensor="image", method="minmax")
    assert accuracy(data, splits["val"]).top1 == pytest.approx(accuracy(small, splits["val"]).top1, abs=1.5 / 32)


def test_the_engine_computes_what_the_file_says(run: Path) -> None:
    """Logits through OpenVINO are those of exact sums: none saturates, on whatever CPU."""
    splits = _pictures().splits
    small = quantised(export_run(run).model.read_bytes(), splits["train"].pixels, tensor="image", method="minmax")
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # Q/DQ computed as floats
    exact = onnxruntime.InferenceSession(small, plain, providers=["CPUExecutionProvider"])
    (expected,) = exact.run(None, {"image": splits["val"].pixels})
    np.testing.assert_allclose(logits(small, splits["val"].pixels, precision="f32"), expected, atol=0.1)


def test_another_plan_wants_another_name(run: Path, tmp_path: Path) -> None:
    """A run that exists is not overwritten."""
    quantise_run(Quantising(name="int8", parent=run, calibration=8), Places(runs=tmp_path), read=_pictures)
    with pytest.raises(RecipeError, match="differs in calibration"):
        quantise_run(Quantising(name="int8", parent=run, calibration=9), Places(runs=tmp_path), read=_pictures)
