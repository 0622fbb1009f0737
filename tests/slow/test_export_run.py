"""Exporting a trained run: the file answers as the network does, or is not written."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from slow.toy_training import toy_train
from torch import nn

from modelkit.export import export_onnx
from modelkit.export_half import export_half
from modelkit.export_run import EXPORT_FILE, ParityError, check_parity, export_run
from modelkit.release.candidate import check_file, read_candidate
from modelkit.release.structure import check_structure
from modelkit.train.networks import load
from modelkit.train.recipe import RecipeError
from modelkit.train.run import sha256
from servicekit.manifest import Output

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning"),  # torch's exporter, about itself
]

_FLOATS = {onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a trained run."""
    return toy_train(tmp_path_factory.mktemp("runs"), "epochs=1")


def test_the_file_takes_what_serving_sends(run: Path) -> None:
    """uint8 NHWC with a free batch, cast before anything else; fp32 logits; both engines within the tolerance."""
    exported = export_run(run)
    graph = onnx.load(exported.model).graph
    image = graph.input[0].type.tensor_type
    assert ("image", onnx.TensorProto.UINT8) == (graph.input[0].name, image.elem_type)
    assert ["batch", 12, 12, 3] == [dim.dim_param or dim.dim_value for dim in image.shape.dim]
    readers = {node.op_type for node in graph.node if "image" in node.input}
    assert {"Cast"} == readers - {"Shape"}, "only its size may be asked for before the cast"
    assert ("logits", onnx.TensorProto.FLOAT) == (graph.output[0].name, graph.output[0].type.tensor_type.elem_type)
    assert {"onnxruntime", "openvino"} == set(exported.differences)
    assert (run / EXPORT_FILE).exists()


def test_the_same_run_gives_the_same_file(run: Path) -> None:
    """The hash of a model tells whether it changed."""
    assert export_run(run).sha256 == export_run(run).sha256 == sha256(run / "model.onnx")


def test_a_file_that_answers_otherwise_is_refused(run: Path) -> None:
    """The weights of the file moved a little: the engine and the distance are told."""
    architecture, model = load(run)
    example = torch.zeros(2, 12, 12, 3, dtype=torch.uint8)
    data = export_onnx(model, example, input_name="image", output_name="logits")
    with torch.no_grad():
        next(layer for layer in model.modules() if isinstance(layer, nn.Linear)).bias += 1
    with pytest.raises(ParityError, match=r"onnxruntime answers otherwise than torch: .* at most 0.001 is allowed"):
        check_parity(model, data, architecture.input)


def test_a_half_precision_run_is_one_that_publishing_takes(run: Path) -> None:
    """fp16 weights between the same input and output; near torch's fp32; lineage, and the parent's accuracy."""
    result = json.loads((run / "result.json").read_bytes())
    (run / "result.json").write_text(json.dumps({**result, "test": result["val"]}))  # the toy has no test split
    exported = export_half(run, "toy-fp16")
    graph = onnx.load(exported.model).graph
    weights = {each.data_type for each in graph.initializer if len(each.dims) > 1 and each.data_type in _FLOATS}
    assert {onnx.TensorProto.FLOAT16} == weights
    assert onnx.TensorProto.FLOAT == graph.output[0].type.tensor_type.elem_type
    candidate = read_candidate(exported.model.parent)
    check_file(candidate)
    labels = Output(classes=len(candidate.labels))
    assert check_structure(candidate.onnx, candidate.recipe, labels) == "fp16"
    assert candidate.lineage["parents"]["weights"]["run"] == "toy"
    assert 0 < max(exported.differences.values()) <= 1e-2


def test_a_half_precision_file_further_away_than_allowed_is_refused(run: Path) -> None:
    """Nothing that publishing would take is left."""
    with pytest.raises(ParityError, match="at most 1e-09 is allowed"):
        export_half(run, "toy-too-exact", tolerance=1e-9)
    assert not (run.parent / "toy-too-exact" / EXPORT_FILE).exists()


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    """There is nothing to export."""
    with pytest.raises(RecipeError, match="holds no finished run"):
        export_run(tmp_path)
