"""The command line: help, versions, wrong usage, and what it says when there is nothing to talk to."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import triptych
from localcluster.environment import state_flag
from localcluster.state import ClusterStatus, Identity, Phase, ProcessState, ProcessStatus, StateDirectory
from triptych.cli.__main__ import app
from triptych.cli.classify import bar
from triptych.cli.connection import explain
from triptych.cli.options import find_gateway

COMMANDS = ("up", "down", "status", "logs", "classify", "models", "model", "doctor", "tune", "experiment", "feedback")


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_STATE_DIR", str(tmp_path / "state"))


def run(*words: str) -> Result:
    """Runs `triptych`."""
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize("command", COMMANDS)
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


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A file that is not there ends the command with 1 and its name."""
    result = run("classify", str(tmp_path / "none.jpg"))
    assert (1, True) == (result.exit_code, "none.jpg: No such file" in result.stderr)


def test_a_folder_without_images_is_told(tmp_path: Path) -> None:
    """A folder that holds no images ends the command with 1 and says which files count."""
    result = run("classify", str(tmp_path))
    assert (1, True) == (result.exit_code, "holds no images (.jpg" in result.stderr)


def test_stdin_is_read_once() -> None:
    """A second `-` is wrong usage."""
    result = run("classify", "-", "-")
    assert (2, True) == (result.exit_code, "once" in result.stderr)


def test_empty_stdin_is_told() -> None:
    """Nothing on stdin is told as such and not as a broken image."""
    result = CliRunner().invoke(app, ["classify", "-"], input=b"")
    assert (1, True) == (result.exit_code, "-: Nothing came on stdin." in result.stderr)


def test_a_web_address_is_no_server(tmp_path: Path) -> None:
    """`--server http://...` is wrong usage, told with what to write instead."""
    result = run("models", "--server", "http://localhost:8081")
    assert (2, True) == (result.exit_code, "web address" in result.stderr)


def test_a_state_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """A state folder below a file is refused with a sentence, by every command that needs one."""
    (tmp_path / "file").touch()
    for words in (("up",), ("status",), ("down",), ("models",)):
        result = run(*words, "--state-dir", str(tmp_path / "file" / "state"))
        assert (1, True) == (result.exit_code, "cannot be used: Not a directory" in result.stderr), words


def running(state_dir: Path, **changes: Any) -> ClusterStatus:
    """Leaves the state of a cluster with two preprocess replicas that this process supervises."""
    process = ProcessStatus("gateway", 1, ProcessState.READY, "", {"grpc": 8081}, pid=1, started_at=0.0)
    settings = {"host": "127.0.0.1", "http_port": 8080, "grpc_port": 8081, "model": "lite", "log_format": "json"}
    status = ClusterStatus(
        Phase.READY,
        Identity.of(os.getpid()),
        "127.0.0.1:8081",
        "127.0.0.1:8080",
        "/models",
        (process,),
        settings={**settings, "replicas": {"preprocess": 2, "inference": 1, "postprocess": 1}},
    )
    state_dir.mkdir()
    StateDirectory(state_dir).write(replace(status, **changes))
    return status


@pytest.mark.parametrize(
    "words", [(), ("--replicas", "preprocess=2"), ("--http-port", "8080", "--model", "lite"), ("--grpc-port", "0")]
)
def test_up_accepts_a_cluster_that_runs_as_asked(tmp_path: Path, words: tuple[str, ...]) -> None:
    """`up` with the options of the running cluster, or none, shows it and ends with 0."""
    running(tmp_path / "state")
    result = run("up", *words)
    assert (0, True) == (result.exit_code, "gateway-1" in result.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--replicas", "preprocess=3"), "preprocess is 2, not 3"),
        (("--host", "0.0.0.0"), "host is 127.0.0.1, not 0.0.0.0"),  # noqa: S104 (not listened on)
        (("--http-port", "9000"), "http_port is 8080, not 9000"),
        (("--log-format", "console"), "log_format is json, not console"),
    ],
)
def test_up_refuses_a_cluster_that_runs_otherwise(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """`up` with other options says which, and to stop the running cluster first; it ends with 1."""
    running(tmp_path / "state")
    result = run("up", *words)
    assert 1 == result.exit_code
    stop = f"`triptych down --state-dir {tmp_path / 'state'}` first."
    assert f"error: A cluster is already running with other settings ({said}): {stop}\n" == result.stderr


def test_a_variable_counts_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that comes from the environment is compared like one that was typed."""
    running(tmp_path / "state")
    monkeypatch.setenv("TRIPTYCH_LOG_FORMAT", "console")
    assert "log_format is json, not console" in run("up").stderr


def test_a_gateway_that_starts_again_is_told(tmp_path: Path) -> None:
    """While the cluster's gateway is away, `classify` names what is not ready and where to look."""
    process = ProcessStatus("gateway", 1, ProcessState.STARTING, "", {})
    running(tmp_path / "state", grpc="127.0.0.1:1", processes=(process,))
    (tmp_path / "a.jpg").write_bytes(b"x")
    result = run("classify", str(tmp_path / "a.jpg"))
    assert 1 == result.exit_code
    assert "The cluster is not ready (gateway-1 starting): see `triptych status --state-dir" in result.stderr


def test_commands_to_type_name_the_state_folder(tmp_path: Path) -> None:
    """A hint works as it stands: it carries --state-dir unless the cluster is the usual one."""
    assert f" --state-dir {tmp_path}" == state_flag(tmp_path)
    assert f" --state-dir '{tmp_path}/a b'" == state_flag(tmp_path / "a b")
    assert f"triptych up --state-dir {tmp_path}" in run("status", "--state-dir", str(tmp_path)).stderr
    assert f"triptych up --state-dir {tmp_path}" in find_gateway(None, tmp_path).absent()


def test_status_says_why_and_where_the_logs_are(tmp_path: Path) -> None:
    """Below the table stand the reason for what is not ready and the folder of the logs."""
    process = ProcessStatus("gateway", 1, ProcessState.UNREADY, "", {}, detail="does not answer")
    running(tmp_path / "state", phase=Phase.DEGRADED, processes=(process,))
    result = run("status")
    assert 1 == result.exit_code
    assert "gateway-1: does not answer" in result.stdout
    assert f"logs in {tmp_path}/state/logs" in result.stdout


def test_logs_are_shown_as_one(tmp_path: Path) -> None:
    """`logs` prints the last lines of each process, by time, with names before them."""
    folder = tmp_path / "state" / "logs"
    folder.mkdir(parents=True)
    line = '{{"event": "{0}", "level": "info", "timestamp": "2026-01-02T03:04:0{1}.5Z"}}\n'
    (folder / "gateway-1.log").write_text(line.format("early", 1) + line.format("third", 3))
    (folder / "triton-1.log").write_text("2026-01-02T03:04:02Z I 7 second\n")
    assert [
        "gateway-1      | 03:04:01.5 info    early",
        "triton-1       | 2026-01-02T03:04:02Z I 7 second",
        "gateway-1      | 03:04:03.5 info    third",
    ] == run("logs").stdout.splitlines()
    assert ["gateway-1      | 03:04:03.5 info    third"] == run("logs", "gateway", "-n", "1").stdout.splitlines()


def test_logs_of_nobody_are_wrong_usage() -> None:
    """A name that has no log ends `logs` with 2."""
    result = run("logs", "nobody")
    assert (2, True) == (result.exit_code, "no log of nobody" in result.stderr)


def test_help_is_for_people() -> None:
    """Help shows no types for words that take no value, and says what a number is."""
    for words in ((), *((command,) for command in COMMANDS if command != "model")):  # it hands its words on
        assert not {word for word in run(*words, "--help").stdout.split() if word in ("<bool>", "<int")}, words


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


def test_a_certificate_that_nobody_trusts_is_no_absent_cluster(tmp_path: Path) -> None:
    """A cluster that wants TLS is there: the options of TLS are what is missing."""
    running(tmp_path / "state")
    gateway = find_gateway(None, tmp_path / "state")
    error = triptych.ClassifyError("UNAVAILABLE", "The certificate of x is from nobody who is trusted here.")
    assert gateway.cluster is not None
    assert "nobody who is trusted here. --ca-file names" in explain(error, gateway)


def test_a_deadline_is_told_in_words(tmp_path: Path) -> None:
    """A call that took too long is told without codes."""
    error = triptych.ClassifyError("DEADLINE_EXCEEDED", "No answer within 0.001 s.")
    assert "No answer within 0.001 s." == explain(error, find_gateway(None, tmp_path))


@pytest.mark.parametrize(("score", "cells"), [(0.0, ""), (1.0, "█" * 24), (0.5, "█" * 12), (0.01, "▎")])
def test_bars_grow_by_eighths(score: float, cells: str) -> None:
    """A bar is as long as its score, also below one character."""
    assert f"[cyan]{cells}[/cyan]" == bar(score)


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    """`model` names the path and the system's reason, without a traceback."""
    (tmp_path / "file").touch()
    (tmp_path / "pictures").mkdir()
    result = run("model", "data", "import", str(tmp_path / "pictures"), "--name", "a", "--root", str(tmp_path / "file"))
    assert 1 == result.exit_code
    assert f"{tmp_path / 'file' / 'a'}: Not a directory" in result.stderr.replace("\n", "")
    assert "Traceback" not in result.stderr
