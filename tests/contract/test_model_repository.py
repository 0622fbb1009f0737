"""Every model in the committed repository keeps the contract between modelkit, the services and Triton."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from int8_weights import float_weights, pairs_fit
from tritonclient.grpc import model_config_pb2

from modelkit.bf16_weights import bf16
from modelkit.engine import int8_convolutions, logits
from modelkit.gate import judge
from modelkit.measure import measure
from modelkit.variants import photographs, unchanged
from servicekit.manifest import Manifest, read_labels, read_manifest, read_repository

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
REPOSITORY = ROOT / "triton_models"
LITE0 = REPOSITORY / "efficientnet_lite0"
MODELS = sorted(path.name for path in REPOSITORY.iterdir() if path.is_dir())


@pytest.fixture(params=MODELS)
def folder(request: pytest.FixtureRequest) -> Path:
    """Lends the folder of each model in turn."""
    return REPOSITORY / str(request.param)


@pytest.fixture
def manifest(folder: Path) -> Manifest:
    """Reads the model's manifest."""
    return read_manifest(folder)


@pytest.fixture
def config(folder: Path) -> model_config_pb2.ModelConfig:
    """Reads the model's configuration as Triton does."""
    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def test_every_folder_is_a_model() -> None:
    """Each folder of the repository has a valid manifest, and the default model is there."""
    assert MODELS == sorted(read_repository(REPOSITORY))
    assert "efficientnet_lite0" in MODELS


def test_artifacts_are_what_the_manifest_says(folder: Path, manifest: Manifest) -> None:
    """Each artefact exists and has the sha256 that the manifest gives."""
    for version in manifest.versions.values():
        for artifact in version.artifacts.values():
            assert artifact.sha256 == hashlib.sha256((folder / artifact.file).read_bytes()).hexdigest(), artifact.file


def test_versions_are_those_of_the_manifest(folder: Path, manifest: Manifest) -> None:
    """The folder holds the versions that the manifest names, and no other."""
    assert set(manifest.versions) == {path.name for path in folder.iterdir() if path.is_dir()}


def test_labels_fit(folder: Path, manifest: Manifest) -> None:
    """There is one label per class, no two are the same, and manifest says where they come from."""
    labels = read_labels(folder, manifest)
    assert len(labels) == len(set(labels))
    assert manifest.source["labels"]


def test_config_agrees_with_the_manifest(manifest: Manifest, config: model_config_pb2.ModelConfig) -> None:
    """Triton and the services mean the same tensors."""
    recipe, output = manifest.input, manifest.output
    inputs = [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in config.input]
    outputs = [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in config.output]
    assert inputs == [(recipe.tensor, model_config_pb2.TYPE_UINT8, [recipe.height, recipe.width, 3])]
    assert outputs == [(output.tensor, model_config_pb2.TYPE_FP32, [output.classes])]
    assert config.name == manifest.name


def test_queue_is_bounded_and_heeds_deadlines(config: model_config_pb2.ModelConfig) -> None:
    """A request's own timeout counts in Triton's queue (only models with a default heed it); a full queue refuses."""
    policy = config.dynamic_batching.default_queue_policy
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    assert policy.default_timeout_microseconds > 0
    assert policy.allow_timeout_override
    assert policy.max_queue_size > 0


def test_batcher_cannot_oversleep(config: model_config_pb2.ModelConfig) -> None:
    """At least two instances run: with one, a bounded queue makes Triton's batcher sleep 500 ms now and then."""
    assert sum(group.count for group in config.instance_group) >= 2


def test_models_are_warm_before_they_are_ready(config: model_config_pb2.ModelConfig) -> None:
    """Warm-up covers one picture and the largest batch."""
    assert {warmup.batch_size for warmup in config.model_warmup} == {1, config.max_batch_size}


def test_the_default_model_names_the_cat() -> None:
    """Class 285 of the default model is the Egyptian cat, so the labels are in ImageNet's order."""
    labels = read_labels(LITE0, read_manifest(LITE0))
    assert (labels[0], labels[285], labels[999]) == ("tench", "Egyptian cat", "toilet tissue")


def test_the_default_model_answers_in_floating_point_unless_asked() -> None:
    """The quantised version is there for who names it; version 1 stays the default."""
    manifest = read_manifest(LITE0)
    precisions = {version: said.artifacts["cpu"].precision for version, said in manifest.versions.items()}
    assert ("1", {"1": "fp32", "2": "int8"}) == (manifest.default_version, precisions)


def test_the_quantised_version_computes_in_int8() -> None:
    """OpenVINO really runs version 2's convolutions in INT8, all but the first six and the depthwise ones."""
    first, second = ((LITE0 / version / "model.onnx").read_bytes() for version in ("1", "2"))
    assert ((0, 49), (29, 49)) == (int8_convolutions(first), int8_convolutions(second))


def test_the_quantised_version_answers_the_same_on_every_cpu() -> None:
    """Its integers are so narrow that no sum saturates where a CPU without VNNI adds products in 16 bits.

    Its floats are ones that bf16 holds, so that a CPU which has it computes with the same.
    """
    model = (LITE0 / "2" / "model.onnx").read_bytes()
    assert pairs_fit(model)
    assert 6 + 14 == len(float_weights(model))  # the first ones, and the depthwise ones behind them
    assert all(np.array_equal(each, bf16(each)) for each in float_weights(model))


@pytest.mark.parametrize("precision", ["", "f32"])
def test_the_quantised_version_names_the_same_classes(precision: str) -> None:
    """Both versions give every test photograph the same first class, with and without bf16 for what stays float."""
    pictures = unchanged(photographs(ROOT / "tests" / "photographs"), read_manifest(LITE0).input)
    first, second = ((LITE0 / version / "model.onnx").read_bytes() for version in ("1", "2"))
    expected = logits(first, pictures, precision="f32").argmax(axis=1).tolist()
    assert expected == logits(second, pictures, precision=precision).argmax(axis=1).tolist()


@pytest.mark.parametrize("precision", ["", "f32"])
def test_the_quantised_version_still_passes_the_gate(precision: str) -> None:
    """The committed file passes today's gate, and its manifest says that its parent is today's version 1."""
    manifest = read_manifest(LITE0)
    parent, candidate = ((LITE0 / version / "model.onnx").read_bytes() for version in ("1", "2"))
    judge(candidate, measure(parent, candidate, ROOT / "tests" / "photographs", manifest.input, precision=precision))
    assert manifest.versions["1"].artifacts["cpu"].sha256 == manifest.versions["2"].lineage["parent_sha256"]
