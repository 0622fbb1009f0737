"""The command line: help, versions, wrong usage, and what it says when there is nothing to talk to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import triptych
from triptych.cli.__main__ import app
from triptych.cli.classify import bar, explain


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_STATE_DIR", str(tmp_path / "state"))


def run(*words: str) -> Result:
    """Runs `triptych`."""
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize("command", ["up", "down", "status", "classify", "models", "model", "doctor"])
def test_help_names_every_command(command: str) -> None:
    """`--help` lists the commands."""
    assert command in run("--help").stdout


def test_the_version_is_printed() -> None:
    """`--version` prints the version of the distribution."""
    assert f"triptych {triptych.__version__}\n" == run("--version").stdout


def test_help_loads_nothing_heavy() -> None:
    """The command line starts without gRPC, protobuf and the cluster."""
    program = (
        "import sys, triptych.cli.__main__; print({'grpc', 'google.protobuf', 'localcluster'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "set()" == done.stdout.strip()


def test_without_a_cluster_status_says_how_to_start_one() -> None:
    """`status` ends with 1 and names `triptych up`."""
    result = run("status")
    assert 1 == result.exit_code
    assert "triptych up" in result.stderr


def test_without_a_cluster_status_is_json_all_the_same() -> None:
    """`status --json` has a phase and processes in any case."""
    assert {"phase": "stopped", "processes": []} == json.loads(run("status", "--json").stdout)


def test_without_a_cluster_down_is_done() -> None:
    """`down` of nothing is no failure."""
    assert 0 == run("down").exit_code


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    """A file that is not there ends the command with 2 and its name."""
    result = run("classify", str(tmp_path / "none.jpg"))
    assert (2, True) == (result.exit_code, "none.jpg: No such file" in result.stderr.replace("\n", ""))


def test_a_folder_is_wrong_usage(tmp_path: Path) -> None:
    """A folder in place of a file ends the command with 2."""
    result = run("classify", str(tmp_path))
    assert (2, True) == (result.exit_code, "Is a directory" in result.stderr)


def test_nobody_at_home_is_told_with_advice(tmp_path: Path) -> None:
    """When nothing listens, the command says how to start a cluster."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    result = run("classify", str(tmp_path / "a.jpg"), "--server", "127.0.0.1:1")
    assert (1, True) == (result.exit_code, "triptych up" in result.stderr)


@pytest.mark.parametrize(
    "words", [("classify",), ("classify", "x", "--top-k", "0"), ("up", "--replicas", "gateway=2"), ("nonsense",)]
)
def test_wrong_usage_ends_with_two(words: tuple[str, ...]) -> None:
    """Wrong words are usage errors."""
    assert 2 == run(*words).exit_code


def test_up_needs_models(tmp_path: Path) -> None:
    """A repository without models is refused before anything starts."""
    result = run("up", "--model-repository", str(tmp_path))
    assert (1, True) == (result.exit_code, "holds no model" in result.stderr.replace("\n", " "))


def test_the_file_at_fault_is_named() -> None:
    """An error of one image among several names its file."""
    error = triptych.ClassifyError(
        "INVALID_ARGUMENT", "It is broken.", reason="IMAGE_CORRUPT", field="images[1].content"
    )
    assert explain(error, ["a.jpg", "b.jpg"], "host:1").startswith("b.jpg: It is broken. (IMAGE_CORRUPT")


@pytest.mark.parametrize(("score", "cells"), [(0.0, ""), (1.0, "█" * 24), (0.5, "█" * 12), (0.01, "▎")])
def test_bars_grow_by_eighths(score: float, cells: str) -> None:
    """A bar is as long as its score, also below one character."""
    assert f"[cyan]{cells}[/cyan]" == bar(score)
