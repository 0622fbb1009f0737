"""The TensorRT gate and `build-engine` with the real TensorRT-RTX, which reads and builds without a GPU."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from candidates import Colours, colour_dataset, colour_model, colour_run
from onnx import TensorProto, helper, numpy_helper
from releases import CARD, release
from typer.testing import CliRunner

from modelkit.cli import app
from modelkit.gate import GateError
from modelkit.publish import publish
from modelkit.release.publishing import Plan, publish_run
from modelkit.signing.keys import new_key, read_key
from modelkit.signing.manifests import sign_model
from modelkit.signing.signer import Signer
from modelkit.tensorrt.gate import check_tensorrt
from modelkit.tensorrt.manifest import EngineError
from modelkit.tensorrt.store import EngineStore
from modelkit.tensorrt.verifying import verify_engine
from servicekit.signatures import checking

MODELS = Path(__file__).parents[2] / "triton_models"
NAME = "efficientnet_lite0"
SIDE = 8

AXES = numpy_helper.from_array(np.array([1, 2], np.int64), "axes")
MEAN = helper.make_node("ReduceMean", ["pixels", "axes"], ["logits"], keepdims=0)


def _graph(nodes: Sequence[onnx.NodeProto], *weights: onnx.TensorProto) -> bytes:
    made = helper.make_graph(
        [*nodes, MEAN],
        "refused",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [AXES, *weights],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _transposed_before_the_cast() -> bytes:
    """Returns a graph whose uint8 pixels meet another operator than Cast."""
    turn = helper.make_node("Transpose", ["image"], ["turned"], name="turn", perm=[0, 2, 1, 3])
    cast = helper.make_node("Cast", ["turned"], ["pixels"], name="cast", to=TensorProto.FLOAT)
    return _graph([turn, cast])


def _quantised_off_centre() -> bytes:
    """Returns a graph with a zero point other than 0."""
    scale = numpy_helper.from_array(np.array(1, np.float32), "scale")
    zero = numpy_helper.from_array(np.array(-128, np.int8), "zero")
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("QuantizeLinear", ["floats", "scale", "zero"], ["quantised"], name="quantise"),
        helper.make_node("DequantizeLinear", ["quantised", "scale", "zero"], ["pixels"], name="dequantise"),
    ]
    return _graph(nodes, scale, zero)


def _quantised_bias() -> bytes:
    """Returns a graph that adds what is kept as int32 with a scale, as ONNX Runtime keeps biases by default."""
    scale = numpy_helper.from_array(np.array(0.5, np.float32), "scale")
    bias = numpy_helper.from_array(np.array([7, 8, 9], np.int32), "bias")
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("DequantizeLinear", ["bias", "scale"], ["offset"], name="bias_dequantise"),
        helper.make_node("Add", ["floats", "offset"], ["pixels"], name="add"),
    ]
    return _graph(nodes, scale, bias)


@pytest.mark.parametrize("version", ["1", "2"])
def test_the_default_model_passes(version: str) -> None:
    """Both versions, floats and INT8, are read, and a plan of each is built."""
    verdict = check_tensorrt((MODELS / NAME / version / "model.onnx").read_bytes())
    assert verdict.by.startswith("TensorRT-RTX 1.")
    assert verdict.by.endswith(" for sm89")
    assert not verdict.why


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "uint8 pixels that are transposed before they are cast": (_transposed_before_the_cast, "turn"),
    "a zero point": (_quantised_off_centre, r"quantise.*Non-zero zero point is not supported"),
    "a quantised bias": (_quantised_bias, r"bias_dequantise.*input has type Int32 but must have type"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_tensorrt_does_not_take_is_refused(what: str) -> None:
    """The error is TensorRT's own, with the node, and without a word of the GPU that is not there."""
    graph, says = REFUSED[what]
    with pytest.raises(GateError, match=f"the TensorRT gate refuses the model: TensorRT-RTX 1.*{says}") as refusal:
        check_tensorrt(graph())
    assert "cudaError" not in str(refusal.value)


def test_publish_says_who_built_the_graph(tmp_path: Path) -> None:
    """The manifest of what was published has the version of TensorRT-RTX and the GPU that it built for."""
    dataset = colour_dataset(tmp_path / "colours")
    run = colour_run(tmp_path / "good", dataset)
    done = publish_run(tmp_path / "models", dataset.folder.parents[1], Plan(run, "colours"))
    assert done.tensorrt.by == done.manifest.versions["1"].accuracy["tensorrt_gate"]
    assert done.tensorrt.by == check_tensorrt(colour_model(Colours())).by


def _build(engines: Path, *words: str, repository: Path = MODELS) -> str:
    command = ["build-engine", *words, "--repository", str(repository), "--engines", str(engines)]
    result = CliRunner().invoke(app, command, env={"XDG_CACHE_HOME": str(engines.parent / "cache")})
    return result.output if result.exit_code == 0 else f"refused: {result.output}"


def test_a_plan_is_built_for_every_gpu_that_is_named(tmp_path: Path) -> None:
    """Each is whole, in a folder of its own; the second time nothing is built."""
    engines = tmp_path / "engines"
    words = (NAME, "--runtime", "tensorrt-rtx", "--target", "sm86", "--target", "sm120")
    assert 2 == _build(engines, *words).count("built in")
    assert 2 == _build(engines, *words).count("is built already")
    store = EngineStore(engines)
    found = [store.find(key) for key in store.list_keys()]
    assert {"8.6", "12.0"} == {each.compute_capability for each in found if each is not None}


def test_a_real_plan_is_signed(tmp_path: Path) -> None:
    """Of a model that is signed; with one bit flipped it is refused, told, and built again."""
    models, engines, key, trusted = (tmp_path / name for name in ("models", "engines", "signing.pem", "trusted"))
    shutil.copytree(MODELS / NAME, models / NAME)
    trusted.write_text(new_key(key).line)
    sign_model(models, NAME, Signer(read_key(key)))
    keys = ("--signing-key", str(key), "--trusted-keys", str(trusted))
    words = (f"{NAME}:1", "--runtime", "tensorrt-rtx", "--target", "sm89", *keys)
    assert "built in" in _build(engines, *words, repository=models)
    store = EngineStore(engines, check=checking(trusted))
    (name,) = store.list_keys()
    verify_engine(models, store, name)
    with store.plan(name).open("r+b") as plan:
        first = plan.read(1)[0]
        plan.seek(0)
        plan.write(bytes([first ^ 1]))
    with pytest.raises(EngineError, match=r"model\.plan is not the plan that was built"):
        verify_engine(models, store, name)
    assert "model.plan is not the plan that was built" in _build(engines, *words, repository=models)
    verify_engine(models, store, name)


def test_what_tensorrt_does_not_take_gets_no_plan(tmp_path: Path) -> None:
    """A version that was published where TensorRT-RTX is not installed: the command tells the parser's reason."""
    publish(tmp_path / "models", CARD, release("1", _quantised_bias()))
    words = (CARD.name, "--runtime", "tensorrt-rtx", "--target", "sm89")
    told = _build(tmp_path / "engines", *words, repository=tmp_path / "models")
    assert told.startswith(f"refused: error: {CARD.name}: tensorrt-rtx 1.")
    assert "input has type Int32" in told


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have a GPU")
def test_tensorrt_itself_wants_a_gpu(tmp_path: Path) -> None:
    """Without one the command says what to do."""
    assert "there is no NVIDIA GPU here" in _build(tmp_path / "engines", NAME)
