"""Publishing: a version appears whole, with a manifest and a configuration that say the truth about it."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from releases import release
from tritonclient.grpc import model_config_pb2

from modelkit import shelf
from modelkit.publish import Card, PublishError, Release, live_version, model_card, publish, set_default
from modelkit.triton_config import render_config
from servicekit.manifest import Output, Recipe, read_labels, read_manifest

pytestmark = pytest.mark.unit

CARD = Card(
    name="shapes",
    title="Shapes",
    description="Tells shapes apart.",
    license="Apache-2.0",
    source={"weights": "none"},
    input=Recipe(width=32, height=24, crop=1.0),
    output=Output(classes=3),
    labels=("circle", "square", "triangle"),
)
ONE = release("1", b"the first model", lineage={"commit": "abc"}, accuracy={"top1": 0.5})

SMALL = b"the second model, quantised"
QUANTISED = release("2", SMALL, temperature=1.5, precision="int8")


def test_published_version_validates(tmp_path: Path) -> None:
    """The services read back what was published: manifest, labels, and a model with the manifest's sha256."""
    publish(tmp_path, CARD, ONE)
    manifest = read_manifest(tmp_path / "shapes")
    artifact = manifest.versions["1"].artifacts["cpu"]
    assert hashlib.sha256(ONE.onnx).hexdigest() == artifact.sha256
    assert ONE.onnx == (tmp_path / "shapes" / artifact.file).read_bytes()
    assert CARD.labels == read_labels(tmp_path / "shapes", manifest)
    assert manifest.versions["1"].lineage == {"commit": "abc"}


def test_second_version_joins_the_first(tmp_path: Path) -> None:
    """A new version leaves the older ones, and what is known about them, as they are."""
    publish(tmp_path, CARD, ONE)
    first = read_manifest(tmp_path / "shapes").versions["1"]
    publish(tmp_path, CARD, release("2", b"the second model"))
    versions = read_manifest(tmp_path / "shapes").versions
    assert {"1", "2"} == versions.keys()
    assert first == versions["1"]


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    """The same release published twice is the same repository."""
    publish(tmp_path, CARD, ONE)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    publish(tmp_path, CARD, ONE)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_published_version_never_changes(tmp_path: Path) -> None:
    """Other bytes under a published version are refused, and the version stays."""
    publish(tmp_path, CARD, ONE)
    with pytest.raises(PublishError, match="already holds another model"):
        publish(tmp_path, CARD, release("1", b"other"))
    assert ONE.onnx == (tmp_path / "shapes" / "1" / "model.onnx").read_bytes()


def test_interrupted_publishing_shows_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher that dies while it writes leaves neither a version nor a manifest nor a scratch folder."""

    def full_disk(path: Path, data: bytes) -> None:
        path.write_bytes(data[:4])
        raise OSError("No space left on device")

    monkeypatch.setattr(shelf, "write_durably", full_disk)
    with pytest.raises(OSError, match="No space"):
        publish(tmp_path, CARD, ONE)
    assert list((tmp_path / "shapes").iterdir()) == []


def test_what_a_killed_publisher_left_gives_way(tmp_path: Path) -> None:
    """A version that no manifest names, and half a folder, do not stand in the way of the next publisher."""
    (tmp_path / "shapes" / ".publish-x").mkdir(parents=True)
    (tmp_path / "shapes" / "1").mkdir()
    (tmp_path / "shapes" / "1" / "model.onnx").write_bytes(b"of a publisher that died")
    publish(tmp_path, CARD, ONE)
    assert {"1", "config.pbtxt", "labels.txt", "manifest.json"} == {
        path.name for path in (tmp_path / "shapes").iterdir()
    }
    assert ONE.onnx == (tmp_path / "shapes" / "1" / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    "changed", [{"labels": ("square", "circle", "triangle")}, {"input": Recipe(width=9, height=9, crop=1.0)}]
)
def test_versions_share_input_and_labels(tmp_path: Path, changed: dict[str, Any]) -> None:
    """A card that would change what older versions mean is refused, and the repository stays."""
    publish(tmp_path, CARD, ONE)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(PublishError, match="another input or other labels"):
        publish(tmp_path, replace(CARD, **changed), release("2", b"the second model"))
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("version", ["0", "01", "-1", "one", "", "²", "1/../2"])
def test_versions_are_positive_integers(tmp_path: Path, version: str) -> None:
    """What Triton would not take for a version is refused before anything is written."""
    with pytest.raises(PublishError, match="positive integer"):
        publish(tmp_path, CARD, replace(ONE, version=version))
    assert list(tmp_path.iterdir()) == []


def test_labels_fit_the_classes(tmp_path: Path) -> None:
    """A card with too few labels is refused before anything is written."""
    with pytest.raises(PublishError, match="3 classes but 2 labels"):
        publish(tmp_path, replace(CARD, labels=("circle", "square")), ONE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [ONE, QUANTISED])
def test_nothing_passes_without_the_gates(tmp_path: Path, other: Release) -> None:
    """The gates' word for one file does not count for another, in whatever precision."""
    with pytest.raises(PublishError, match=f"version {other.version}: this file has not passed the gates"):
        publish(tmp_path, CARD, replace(other, onnx=b"another file"))
    assert not (tmp_path / "shapes").exists()


def test_a_quantised_version_does_not_take_over(tmp_path: Path) -> None:
    """Joining as the newest version, a quantised one leaves the answers to those who name none as they were."""
    publish(tmp_path, CARD, ONE)
    manifest = publish(tmp_path, CARD, QUANTISED)
    assert "1" == manifest.default_version
    assert ("int8", 1.5) == (manifest.versions["2"].artifacts["cpu"].precision, manifest.versions["2"].temperature)


def test_a_default_outlives_publishing(tmp_path: Path) -> None:
    """Once a version is the default, only `set_default` changes that; without one the newest version answers."""
    assert publish(tmp_path, CARD, ONE).default_version is None
    publish(tmp_path, CARD, QUANTISED)
    assert "2" == set_default(tmp_path, "shapes", "2").default_version
    assert "2" == publish(tmp_path, CARD, release("3", b"the third model")).default_version
    assert "2" == read_manifest(tmp_path / "shapes").default_version


def test_what_is_live_can_be_kept_so(tmp_path: Path) -> None:
    """A version that an experiment shall judge does not answer those who name none; the first one cannot but."""
    with pytest.raises(PublishError, match="has no version yet that could stay live"):
        publish(tmp_path, CARD, ONE, keep_live=True)
    publish(tmp_path, CARD, ONE)
    manifest = publish(tmp_path, CARD, release("2", b"the second model"), keep_live=True)
    assert ("1", {"1", "2"}) == (live_version(manifest), set(manifest.versions))


def test_an_unpublished_version_is_no_default(tmp_path: Path) -> None:
    """The refusal says which versions there are."""
    publish(tmp_path, CARD, ONE)
    with pytest.raises(PublishError, match="no version '7'; it has 1"):
        set_default(tmp_path, "shapes", "7")


def test_a_card_is_read_back(tmp_path: Path) -> None:
    """What all versions share can be taken from the repository for the next one."""
    publish(tmp_path, CARD, ONE)
    assert CARD == model_card(tmp_path / "shapes")


def test_config_says_what_the_manifest_says() -> None:
    """Names, types and shapes of the rendered configuration are the manifest's, and Triton's own parser reads it."""
    config = text_format.Parse(render_config("shapes", CARD.input, CARD.output), model_config_pb2.ModelConfig())
    tensor, logits = config.input[0], config.output[0]
    assert (tensor.name, tensor.data_type, list(tensor.dims)) == ("image", model_config_pb2.TYPE_UINT8, [24, 32, 3])
    assert (logits.name, logits.data_type, list(logits.dims)) == ("logits", model_config_pb2.TYPE_FP32, [3])
    assert (config.backend, config.default_model_filename) == ("openvino", "model.onnx")


def test_config_suits_the_native_backend() -> None:
    """NVIDIA's native OpenVINO backend knows every parameter, and is told to pad, else it refuses small batches."""
    known = {"NUM_STREAMS", "INFERENCE_NUM_THREADS", "PERFORMANCE_HINT", "ENABLE_BATCH_PADDING"}
    config = text_format.Parse(render_config("shapes", CARD.input, CARD.output), model_config_pb2.ModelConfig())
    assert known >= set(config.parameters)
    assert config.parameters["ENABLE_BATCH_PADDING"].string_value == "YES"


@pytest.mark.parametrize("name", ["a/b", "../b", "Shapes", "", "x" * 64, "shapes\n"])
def test_a_name_that_no_model_can_have_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is written, not even a folder, which Triton would try to load."""
    with pytest.raises(PublishError, match=r"the model's name .*: up to 63 lower-case letters"):
        publish(tmp_path / "repository", replace(CARD, name=name), ONE)
    assert not list(tmp_path.iterdir())
