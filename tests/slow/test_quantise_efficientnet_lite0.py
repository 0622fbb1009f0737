"""Quantising the committed model again. Needs the extra `modelkit`."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from int8_weights import pairs_fit
from PIL import Image
from typer.testing import CliRunner

from modelkit.cli import app
from modelkit.engine import int8_convolutions
from modelkit.gate import GateError
from modelkit.publish import PublishError
from modelkit.release.quantising import Plan, publish_quantised
from modelkit.release.versions import check_version
from servicekit.manifest import read_manifest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
NAME = "efficientnet_lite0"
PLAN = Plan("1", "2", ROOT / "modelkit" / "calibration", ROOT / "tests" / "photographs", float_convolutions=6)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Lends a repository with the float version alone."""
    folder = tmp_path / NAME
    shutil.copytree(ROOT / "triton_models" / NAME, folder)
    shutil.rmtree(folder / "2")
    manifest = read_manifest(folder)
    only = {"versions": {"1": manifest.versions["1"]}, "default_version": None}
    (folder / "manifest.json").write_text(manifest.model_copy(update=only).model_dump_json())
    return tmp_path


@pytest.fixture
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Returns a plan judged by photographs of which version 1 is sure, whose class no CPU's rounding changes.

    All of them judge the committed version, which is the same file everywhere: `test_model_repository.py`.
    """
    sure = tmp_path_factory.mktemp("sure")
    for name in ("camera.png", "clock_motion.png", "coffee.png"):
        shutil.copy(PLAN.photographs / name, sure)
    return replace(PLAN, photographs=sure)


def _artifact(repository: Path) -> Path:
    return repository / NAME / "2" / "model.onnx"


def test_quantising_again_works(repository: Path, plan: Plan) -> None:
    """A fresh version passes every gate, computes in INT8 as the committed one does, and leaves version 1 the default.

    It has golden predictions, which can be asked again, and a build of TensorRT-RTX.
    """
    done = publish_quantised(repository, NAME, plan)
    fresh = _artifact(repository).read_bytes()
    assert "1" == done.manifest.default_version
    assert (29, 49) == int8_convolutions(fresh)
    assert pairs_fit(fresh)
    committed = read_manifest(ROOT / "triton_models" / NAME).versions["2"]
    assert committed.lineage["calibration_sha256"] == done.manifest.versions["2"].lineage["calibration_sha256"]
    assert {"steadiness", "robustness", "latency"} == {check.gate for check in done.checks}
    assert done.tensorrt.by.startswith("TensorRT-RTX")
    assert check_version(repository / NAME, done.manifest, "2") >= 2  # camera and coffee, on any CPU


def test_the_command_publishes_and_tells(repository: Path, plan: Plan) -> None:
    """`triptych model quantise` prints the file and what the gate measured."""
    folders = ["--calibration", str(plan.calibration), "--photographs", str(plan.photographs)]
    command = ["quantise", NAME, "--version", "2", "--repository", str(repository), *folders]
    result = CliRunner().invoke(app, command)
    assert 0 == result.exit_code, result.output
    assert "photographs_same_top1: 3" in result.output


def test_a_version_that_answers_otherwise_is_refused(repository: Path, tmp_path: Path) -> None:
    """Ranges taken from a picture of the night are too narrow for daylight, on any CPU; nothing is published."""
    night = tmp_path / "night"
    night.mkdir()
    Image.new("RGB", (300, 300)).save(night / "night.png")
    narrow = Plan(PLAN.parent, PLAN.version, night, PLAN.photographs, float_convolutions=6)
    with pytest.raises(GateError, match=r"answers too differently .* mean KL divergence is 0\.0\d+ nats"):
        publish_quantised(repository, NAME, narrow)
    assert {"1"} == read_manifest(repository / NAME).versions.keys()
    assert not _artifact(repository).exists()


def test_the_judges_are_new_to_the_model(repository: Path) -> None:
    """A photograph that calibrated cannot judge."""
    partial = Plan(PLAN.parent, PLAN.version, PLAN.photographs, PLAN.photographs, float_convolutions=6)
    with pytest.raises(PublishError, match="share photographs"):
        publish_quantised(repository, NAME, partial)


def test_a_version_that_triton_would_not_take_is_told_at_once(repository: Path) -> None:
    """Before a minute of quantising."""
    partial = Plan(PLAN.parent, "x", PLAN.calibration, PLAN.photographs, float_convolutions=6)
    with pytest.raises(PublishError, match="version 'x' is not a positive integer"):
        publish_quantised(repository, NAME, partial)
