"""Quantising a trained run: a run folder with an INT8 file that every engine takes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from int8_weights import eight_bits, pairs_fit
from slow.toy_compress import judged_pictures
from slow.toy_training import toy_train

from modelkit.compress.accuracy import accuracy, best_classes
from modelkit.compress.parity import INT8_TOLERANCE, check_int8, in_floats
from modelkit.compress.qdq import quantised
from modelkit.compress.quantise import Quantising, quantise_run, read_plan
from modelkit.engine import logits
from modelkit.export_run import ParityError, export_run
from modelkit.release.candidate import check_file, read_candidate
from modelkit.release.structure import check_structure
from modelkit.train.recipe import RecipeError
from modelkit.train.run import sha256
from modelkit.train.train import Places
from servicekit.manifest import Output

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning"),  # torch's exporter, about itself
    pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxruntime"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a trained run that knows its task."""
    return toy_train(tmp_path_factory.mktemp("runs"), "epochs=12", "augment={}", "ema=null")


def test_an_int8_run_is_a_candidate(run: Path, tmp_path: Path) -> None:
    """Every layer reads INT8 with zero points of 0, OpenVINO computes it so, and publishing takes the folder."""
    result_of_training = json.loads((run / "result.json").read_text())
    plan = Quantising(name="int8", parent=run, calibration=32)
    folder = quantise_run(plan, Places(runs=tmp_path), read=judged_pictures)
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
    graph = onnx.load_from_string(candidate.onnx).graph
    zero_points = {node.input[2] for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    assert all(not weights[each].any() and weights[each].dtype == np.int8 for each in zero_points)
    assert pairs_fit(candidate.onnx)
    exported = json.loads((folder / "export.json").read_text())
    assert exported["tensorrt"].startswith("TensorRT-RTX 1.")
    again = check_int8(candidate.onnx, judged_pictures().splits["train"].pixels, candidate.recipe)
    assert exported["differences"] == pytest.approx(again, abs=1e-3)
    assert 0 < max(exported["differences"].values()) < INT8_TOLERANCE == exported["tolerance"]
    assert folder == quantise_run(plan, Places(runs=tmp_path), read=judged_pictures)


def test_the_engine_answers_as_well_as_before(run: Path) -> None:
    """INT8 through OpenVINO gets as many pictures right as fp32, give or take one of 32."""
    data = export_run(run).model.read_bytes()
    splits = judged_pictures().splits
    small = quantised(data, splits["train"].pixels, tensor="image", method="minmax")
    before, after = (accuracy(best_classes(each, splits["val"]), splits["val"].labels) for each in (data, small))
    assert before.top1 == pytest.approx(after.top1, abs=1.5 / 32)


def test_the_engine_computes_what_the_file_says(run: Path) -> None:
    """Logits through OpenVINO are those of exact sums: none saturates, on whatever CPU."""
    splits = judged_pictures().splits
    small = quantised(export_run(run).model.read_bytes(), splits["train"].pixels, tensor="image", method="minmax")
    expected = in_floats(small, "image")(torch.from_numpy(splits["val"].pixels)).numpy()
    np.testing.assert_allclose(logits(small, splits["val"].pixels, precision="f32"), expected, atol=0.1)


SATURATING = """
import sys
from pathlib import Path
from slow.toy_compress import judged_pictures
from modelkit.compress.parity import check_int8
from servicekit.manifest import Recipe

pictures, takes = judged_pictures().splits["val"].pixels, Recipe(width=12, height=12, crop=1.0)
for name in sys.argv[1:]:
    try:
        check_int8(Path(name).read_bytes(), pictures, takes)
        print("passed")
    except ValueError as error:
        print(error)
"""


def test_an_engine_that_answers_otherwise_is_refused(run: Path, tmp_path: Path) -> None:
    """OpenVINO held to AVX2, which has no VNNI, sums two products in 16 bits: what uses eight bits saturates there."""
    splits = judged_pictures().splits
    small = quantised(export_run(run).model.read_bytes(), splits["train"].pixels, tensor="image", method="minmax")
    files = {"seven": small, "eight": eight_bits(small)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", SATURATING, *(str(tmp_path / name) for name in files)]
    environment = {"PYTHONPATH": ":".join(sys.path), "ONEDNN_MAX_CPU_ISA": "AVX2"}
    told = subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout.splitlines()
    assert "passed" == told[0]
    assert told[1].startswith("openvino answers otherwise than the INT8 file in floats: a logit is")


def test_a_file_that_is_refused_leaves_no_finished_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bound that no engine holds: publishing and evaluating find nothing to read."""
    monkeypatch.setattr("modelkit.compress.parity.INT8_TOLERANCE", 1e-9)
    with pytest.raises(ParityError, match="at most 1e-09 is allowed"):
        quantise_run(Quantising(name="int8", parent=run), Places(runs=tmp_path), read=judged_pictures)
    assert ["recipe.yaml"] == [path.name for path in (tmp_path / "int8").iterdir()]


def test_another_plan_wants_another_name(run: Path, tmp_path: Path) -> None:
    """A run that exists is not overwritten."""
    quantise_run(Quantising(name="int8", parent=run, calibration=8), Places(runs=tmp_path), read=judged_pictures)
    with pytest.raises(RecipeError, match="differs in calibration"):
        quantise_run(Quantising(name="int8", parent=run, calibration=9), Places(runs=tmp_path), read=judged_pictures)


def test_a_parent_that_was_made_anew_is_told(run: Path, tmp_path: Path) -> None:
    """What was made of the old one does not pass for the new one's."""
    parent = Path(shutil.copytree(run, tmp_path / "toy"))
    plan = Quantising(name="int8", parent=parent, calibration=8)
    assert quantise_run(plan, Places(runs=tmp_path), read=judged_pictures).name == "int8"
    (parent / "model.onnx").write_bytes(b"made anew")
    with pytest.raises(RecipeError, match=r"int8 was made of another .*toy than is there now: choose another name"):
        quantise_run(plan, Places(runs=tmp_path), read=judged_pictures)


def test_a_recipe_says_what_a_command_says(run: Path, tmp_path: Path) -> None:
    """What is given goes above the recipe, `--set` above all; a folder stands for a recipe with every default."""
    recipe = tmp_path / "small.yaml"
    recipe.write_text(f"name: small\nparent: {run}\nmethod: percentile\n", encoding="utf-8")
    assert Quantising(name="small", parent=run, method="percentile", calibration=8) == read_plan(
        recipe, {"calibration": 9}, ("calibration=8",)
    )
    assert Quantising(name="toy-int8", parent=run, calibration=9) == read_plan(run, {"calibration": 9})
    with pytest.raises(RecipeError, match=r"small.yaml: calibration: Input should be greater than or equal to 1"):
        read_plan(recipe, {"calibration": 0})
    with pytest.raises(RecipeError, match=r"pictures is unknown; there are name, parent, calibration"):
        read_plan(run, {}, ("pictures=8",))
