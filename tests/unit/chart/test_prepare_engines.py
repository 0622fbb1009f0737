"""The script that makes compose's GPU ready, with the real scripts below it, and fakes of trtexec and nvidia-smi."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "helm" / "triptych" / "files" / "scripts" / "prepare-engines.py"
STORE = ROOT / "triton_models"
MODEL = "efficientnet_lite0"
TRTEXEC = """#!/bin/bash
if [[ -n ${BROKEN:-} ]]; then echo "[E] Error: no kernel"; exit 1; fi
for word in "$@"; do
  case $word in
    --onnx=*) echo "${word#*=}" >> "$CALLS" ;;
    --saveEngine=*) echo "a plan" > "${word#*=}" ;;
  esac
done
"""
SMI = """#!/bin/bash
echo "${GPU:-NVIDIA L4, 8.9}"
"""


class Machine:
    """Has a GPU, as far as the script can tell."""

    def __init__(self, folder: Path) -> None:
        self.engines, self.repository, self.calls = folder / "engines", folder / "repository", folder / "calls"
        self.programs = folder / "bin"
        for each in (self.engines, self.repository, self.programs):
            each.mkdir()
        for name, text in (("trtexec", TRTEXEC), ("nvidia-smi", SMI)):
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(stat.S_IRWXU)

    def prepare(self, store: Path = STORE, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs the script."""
        environment = {"PATH": f"{self.programs}:{os.defpath}", "CALLS": str(self.calls), "IMAGE": "a:1"} | variables
        command = [sys.executable, str(SCRIPT), str(store), str(self.engines), str(self.repository)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    @property
    def built(self) -> list[str]:
        """Returns the ONNX files that plans were built of, one for each build."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [str(Path(line).relative_to(STORE / MODEL)) for line in lines]

    @property
    def served(self) -> list[str]:
        """Returns the files of the repository that hold a plan."""
        return sorted(str(path.relative_to(self.repository)) for path in self.repository.glob("*/*/model.plan"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Has built nothing yet."""
    return Machine(tmp_path)


def _store(folder: Path, **manifest: Any) -> Path:
    (folder / "m").mkdir(parents=True)
    (folder / "m" / "manifest.json").write_text(json.dumps({"name": "m", **manifest}))
    return folder


def test_the_default_version_is_built_and_laid_out(machine: Machine) -> None:
    """One run makes, of the committed models, a repository whose plan is the one that was built."""
    done = machine.prepare()
    assert (0, ["1/model.onnx"]) == (done.returncode, machine.built), done.stderr
    assert [f"{MODEL}/1/model.plan"] == machine.served
    assert 'backend: "tensorrt"' in (machine.repository / MODEL / "config.pbtxt").read_text()
    assert "a plan\n" == (machine.repository / MODEL / "1" / "model.plan").read_text()


def test_every_version_is_built_where_that_is_wanted(machine: Machine) -> None:
    """A quantised version is an ONNX file like any other."""
    machine.prepare(VERSIONS="all")
    assert ["1/model.onnx", "2/model.onnx"] == machine.built
    assert [f"{MODEL}/1/model.plan", f"{MODEL}/2/model.plan"] == machine.served


def test_nothing_is_built_twice(machine: Machine) -> None:
    """A second run finds its plans, and lays out the same again."""
    machine.prepare()
    assert 0 == machine.prepare().returncode
    assert ["1/model.onnx"] == machine.built
    assert [f"{MODEL}/1/model.plan"] == machine.served


@pytest.mark.parametrize(
    "variables", [{"IMAGE": "a:2"}, {"GPU": "NVIDIA H100, 9.0"}, {"TRTEXEC_FLAGS": "--builderOptimizationLevel=4"}]
)
def test_another_plan_is_built_where_something_differs(machine: Machine, variables: dict[str, str]) -> None:
    """Another image, GPU or flag has a plan of its own, and the one before stays."""
    machine.prepare()
    machine.prepare(STORE, **variables)
    assert 2 == len(machine.built)
    assert 2 == len([*machine.engines.glob("*/model.plan")])


def test_a_failed_build_lays_nothing_out(machine: Machine) -> None:
    """The model server waits for a success, so it never starts on half a repository."""
    assert 1 == machine.prepare(BROKEN="yes").returncode
    assert [] == machine.served


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({"versions": {"1": {"artifacts": {"gpu": {"format": "tensorrt_plan"}}}}}, "m 1 has no ONNX file"),
        (None, "holds no model"),
    ],
)
def test_a_store_that_cannot_be_built_is_refused(
    machine: Machine, tmp_path: Path, manifest: dict[str, Any] | None, words: str
) -> None:
    """What is missing is said in a sentence."""
    store = tmp_path / "store" if manifest is None else _store(tmp_path / "store", **manifest)
    refused = machine.prepare(store)
    assert (1, True) == (refused.returncode, words in refused.stderr)


def test_a_machine_without_a_gpu_is_refused(machine: Machine) -> None:
    """Plans are built where they run."""
    (machine.programs / "nvidia-smi").write_text("#!/bin/bash\nexit 9\n")
    assert "nvidia-smi shows no GPU" in machine.prepare().stderr
