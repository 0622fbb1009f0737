"""The chart's scripts for TensorRT plans, with fakes of trtexec and nvidia-smi: no GPU is here."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest
from fakes.signatures import signer

from modelkit.tensorrt.manifest import EngineManifest
from modelkit.tensorrt.store import EngineStore

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "helm" / "triptych" / "files" / "scripts"
MODEL = "efficientnet_lite0"
KEY = "0123456789abcdef"
PLAN = f"{KEY}-b32"
"""Folder of the plan: the key, and the largest batch of the model's configuration."""
FAKE_TRTEXEC = """#!/bin/bash
echo "$@" >> "$CALLS"
echo "&&&& RUNNING TensorRT.trtexec [TensorRT v110401] # $0 $*"
if [[ -n ${ENDLESS:-} ]]; then echo started > "$CALLS.started"; exec sleep 600; fi
if [[ -n ${BROKEN:-} ]]; then echo "[E] Error: no kernel"; exit 1; fi
for word in "$@"; do
  case $word in
    --saveEngine=*) echo "a plan" > "${word#*=}" ;;
    --timingCacheFile=*) echo "timings" >> "${word#*=}" ;;
  esac
done
"""
FAKE_SMI = """#!/bin/bash
case $1 in
  *name,compute_cap*) echo "NVIDIA L4, 8.9" ;;
  *compute_cap*) echo "8.9" ;;
  *name*) echo "NVIDIA L4" ;;
  *driver_version*) echo "595.10" ;;
esac
"""


class Bench:
    """Is a model store, an engine store and the programs that the scripts call."""

    def __init__(self, folder: Path) -> None:
        self.store, self.engines, self.repository = folder / "store", folder / "engines", folder / "repository"
        self.calls = folder / "calls"
        programs = folder / "bin"
        for each in (self.engines, self.repository, programs):
            each.mkdir()
        (self.store / MODEL / "1").mkdir(parents=True)
        shutil.copy(ROOT / "triton_models" / MODEL / "config.pbtxt", self.store / MODEL)
        self.onnx = self.store / MODEL / "1" / "model.onnx"
        self.onnx.write_bytes(b"a graph")
        for name, text in (("trtexec", FAKE_TRTEXEC), ("nvidia-smi", FAKE_SMI)):
            (programs / name).write_text(text)
            (programs / name).chmod(stat.S_IRWXU)
        self.environment = {"PATH": f"{programs}:{os.defpath}", "CALLS": str(self.calls)}

    @property
    def engine(self) -> list[str]:
        """Returns what the chart says of the one engine."""
        return [MODEL, "1", "1/model.onnx", hashlib.sha256(b"a graph").hexdigest(), KEY]

    def build(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Builds the plans."""
        return self._run("build-engines.sh", self._build_words, variables)

    def begin_build(self, **variables: str) -> subprocess.Popen[bytes]:
        """Starts to build the plans."""
        command = ["/bin/bash", str(SCRIPTS / "build-engines.sh"), *self._build_words]
        return subprocess.Popen(command, env=self.environment | variables)

    def lay_out(self, kind: str, fallback: str = "none", wait_s: int = 0) -> subprocess.CompletedProcess[str]:
        """Lays the repository out."""
        words = [kind, fallback, str(wait_s), str(self.store), str(self.engines), str(self.repository), *self.engine]
        return self._run("lay-out-repository.sh", words, {})

    def config(self) -> str:
        """Returns the configuration that Triton will read."""
        return (self.repository / MODEL / "config.pbtxt").read_text()

    @property
    def _build_words(self) -> list[str]:
        return [str(self.store), str(self.engines), *self.engine]

    def _run(self, script: str, words: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = ["/bin/bash", str(SCRIPTS / script), *words]
        return subprocess.run(command, env=self.environment | variables, capture_output=True, text=True, check=False)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Has one model, and no plan."""
    return Bench(tmp_path)


def test_build_writes_plan_and_manifest(bench: Bench) -> None:
    """A build leaves the plan, and beside it what it was built from, on and with."""
    assert 0 == bench.build().returncode
    manifest = json.loads((bench.engines / PLAN / "manifest.json").read_text())
    plan = (bench.engines / PLAN / "model.plan").read_bytes()
    assert hashlib.sha256(plan).hexdigest() == manifest["plan_sha256"]
    assert ("NVIDIA L4", "8.9", "110401", bench.engine[3]) == tuple(
        manifest[key] for key in ("gpu", "compute_capability", "tensorrt", "onnx_sha256")
    )
    assert (PLAN, 32, 8) == tuple(manifest[key] for key in ("key", "max_batch_size", "opt_batch_size"))


def test_scripts_and_command_agree(bench: Bench) -> None:
    """The command reads a manifest of the script, and the script lays out a plan of the command's, a signed one."""
    bench.build()
    known = EngineManifest.model_validate_json((bench.engines / PLAN / "manifest.json").read_bytes())
    shutil.rmtree(bench.engines / PLAN)
    plan = b"of the command"
    made = known.model_copy(update={"plan_sha256": hashlib.sha256(plan).hexdigest()})
    EngineStore(bench.engines, signer()).keep(made, plan)
    assert 0 == bench.lay_out("tensorrt").returncode
    assert plan == (bench.repository / MODEL / "1" / "model.plan").read_bytes()


def test_plan_of_tensorrt_rtx_is_not_laid_out(bench: Bench) -> None:
    """Triton could not load it."""
    bench.build()
    manifest = bench.engines / PLAN / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"tensorrt",', '"tensorrt-rtx",'))
    assert "holds no plan of TensorRT's own" in bench.lay_out("tensorrt").stderr


def test_another_largest_batch_is_another_plan(bench: Bench) -> None:
    """A model whose configuration allows larger batches is not served with a plan that cannot take them."""
    bench.build()
    config = bench.store / MODEL / "config.pbtxt"
    config.write_text(config.read_text().replace("max_batch_size: 32", "max_batch_size: 64"))
    assert f"no plan {KEY}-b64 after" in bench.lay_out("tensorrt").stderr
    bench.build()
    assert {PLAN, f"{KEY}-b64"} == {path.parent.name for path in bench.engines.glob("*/manifest.json")}
    assert 0 == bench.lay_out("tensorrt").returncode


def test_build_asks_for_the_batches_of_the_configuration(bench: Bench) -> None:
    """The plan takes batches from 1 to the configuration's largest, of the configuration's input."""
    bench.build(TRTEXEC_FLAGS="--builderOptimizationLevel=4")
    words = bench.calls.read_text().split()
    assert {"--minShapes=image:1x224x224x3", "--maxShapes=image:32x224x224x3", "--builderOptimizationLevel=4"} < {
        *words
    }


def test_build_leaves_a_finished_plan_alone(bench: Bench) -> None:
    """A Job that runs again builds nothing."""
    bench.build()
    again = bench.build()
    assert "is built already" in again.stdout
    assert 1 == len(bench.calls.read_text().splitlines())


def test_build_keeps_timings(bench: Bench) -> None:
    """The timing cache of one build helps the next on the same kind of GPU."""
    bench.build()
    shutil.rmtree(bench.engines / PLAN)
    bench.build()
    (cache,) = bench.engines.glob("timing-*.cache")
    assert "timings\ntimings\n" == cache.read_text()


def test_failed_build_leaves_nothing(bench: Bench) -> None:
    """A build that fails ends with trtexec's own words, and leaves nothing that could be taken for a plan."""
    failed = bench.build(BROKEN="yes")
    assert 1 == failed.returncode
    assert "no kernel" in failed.stderr
    assert [] == [*bench.engines.iterdir()]


def test_unfinished_folder_does_not_stop_a_build(bench: Bench) -> None:
    """What a killed build left stops no other, and stays only as long as its builder may still run."""
    fresh, old = (bench.engines / f".building-{PLAN}-{name}" for name in ("1", "abcdef"))
    other = bench.engines / ".building-fedcba9876543210-abcdef"
    for folder in (fresh, old, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    assert 0 == bench.build(LONGEST_S="3600").returncode
    assert {fresh, other} == {*bench.engines.glob(".building-*")}
    assert 0o755 == stat.S_IMODE((bench.engines / PLAN).stat().st_mode)


def test_build_that_is_told_to_end_cleans_up(bench: Bench) -> None:
    """SIGTERM ends a build at once, with trtexec, and leaves nothing behind."""
    builder = bench.begin_build(ENDLESS="yes")
    started = bench.calls.with_name("calls.started")
    while not started.exists() and builder.poll() is None:
        time.sleep(0.01)
    builder.terminate()
    assert 143 == builder.wait()
    assert [] == [*bench.engines.iterdir()]


def test_build_refuses_another_model(bench: Bench) -> None:
    """Nothing is built of a file that is not the promised one."""
    bench.onnx.write_bytes(b"another graph")
    assert "does not have the sha256" in bench.build().stderr
    assert not bench.calls.exists()


def test_plan_is_served_with_tensorrt(bench: Bench) -> None:
    """A pool with a plan serves it on the GPU, with all else of the configuration as it was."""
    bench.build()
    assert 0 == bench.lay_out("tensorrt").returncode
    assert "a plan\n" == (bench.repository / MODEL / "1" / "model.plan").read_text()
    assert 'backend: "tensorrt"\ndefault_model_filename: "model.plan"\nmax_batch_size: 32\n' in bench.config()
    assert "instance_group [ { count: 2 kind: KIND_GPU } ]" in bench.config()
    assert "max_queue_size: 256" in bench.config()
    assert "parameters {" not in bench.config()


def test_missing_plan_falls_back(bench: Bench) -> None:
    """Where the plan does not come in time, the ONNX file is served with what the values say, and the log tells."""
    laid_out = bench.lay_out("tensorrt", fallback="onnxruntime")
    assert 0 == laid_out.returncode
    assert "onnxruntime serves it until the next start" in laid_out.stdout
    assert 'backend: "onnxruntime"\ndefault_model_filename: "model.onnx"\n' in bench.config()
    assert "kind: KIND_GPU" in bench.config()


def test_missing_plan_without_fallback_ends_the_start(bench: Bench) -> None:
    """Without a fallback a server without its plan does not start, and says where to look."""
    laid_out = bench.lay_out("tensorrt")
    assert 1 == laid_out.returncode
    assert "Look at the Job that builds it" in laid_out.stderr


def test_repository_is_laid_out_anew(bench: Bench) -> None:
    """A server that fell back and starts again, in the same volume, serves the plan that has come meanwhile."""
    bench.lay_out("tensorrt", fallback="onnxruntime")
    bench.build()
    assert 0 == bench.lay_out("tensorrt", fallback="onnxruntime").returncode
    assert ["model.plan"] == [file.name for file in (bench.repository / MODEL / "1").iterdir()]
    assert 'backend: "tensorrt"' in bench.config()


def test_changed_plan_is_not_loaded(bench: Bench) -> None:
    """A plan that is not what its manifest promises ends the start: it is code."""
    bench.build()
    (bench.engines / PLAN / "model.plan").write_text("another plan\n")
    laid_out = bench.lay_out("tensorrt", fallback="onnxruntime")
    assert 1 == laid_out.returncode
    assert "does not have the promised sha256" in laid_out.stderr


def test_plan_of_another_model_is_not_loaded(bench: Bench) -> None:
    """A folder of the right name, but of a plan that was built of another file, ends the start."""
    bench.build()
    manifest = bench.engines / PLAN / "manifest.json"
    manifest.write_text(manifest.read_text().replace(bench.engine[3], "0" * 64))
    laid_out = bench.lay_out("tensorrt", fallback="onnxruntime")
    assert 1 == laid_out.returncode
    assert f"is built of another file than {MODEL} 1, whose sha256 is {bench.engine[3]}" in laid_out.stderr


def test_cpu_fallback_keeps_the_configuration(bench: Bench) -> None:
    """OpenVINO is what the configuration was written for, so it stays as it is."""
    bench.lay_out("tensorrt", fallback="openvino")
    assert (bench.store / MODEL / "config.pbtxt").read_text() == bench.config()


def test_unknown_configuration_is_refused(bench: Bench) -> None:
    """A configuration of another shape is not guessed at."""
    (bench.store / MODEL / "config.pbtxt").write_text('name: "efficientnet_lite0"\nplatform: "onnxruntime_onnx"\n')
    laid_out = bench.lay_out("onnxruntime")
    assert 1 == laid_out.returncode
    assert "is not laid out as expected" in laid_out.stderr
