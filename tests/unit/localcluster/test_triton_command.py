"""How Triton is started: the flags are the hardening, so each one is asserted."""

from pathlib import Path

import pytest

from localcluster.triton_command import TritonEndpoints, triton_command
from localcluster.triton_runtime import TritonRuntime

pytestmark = pytest.mark.unit

RUNTIME = TritonRuntime(home=Path("/opt/triton"), backends=Path("/opt/triton/backends"), libpython=Path("/opt/python"))
ENDPOINTS = TritonEndpoints(grpc_port=9001, metrics_port=9002, admin_token="open-sesame")  # noqa: S106 -- opens nothing


def _flags(models: tuple[str, ...] = ("cats", "dogs"), endpoints: TritonEndpoints = ENDPOINTS) -> list[str]:
    argv, _ = triton_command(RUNTIME, Path("/models"), endpoints, models)
    return argv


def test_runs_the_installed_server() -> None:
    """The program is the one that the runtime installed."""
    assert str(RUNTIME.server) == _flags()[0]


def test_loads_exactly_the_named_models() -> None:
    """Triton loads the models it is told to, and none because it lies in the repository."""
    flags = _flags()
    assert [flag for flag in flags if flag.startswith("--load-model=")] == ["--load-model=cats", "--load-model=dogs"]
    assert "--model-control-mode=explicit" in flags
    assert "--disable-auto-complete-config" in flags


def test_is_ready_only_when_all_models_are() -> None:
    """One model that fails to load keeps Triton up for the others, and not ready."""
    assert {"--strict-readiness=true", "--exit-on-error=false"} <= set(_flags())


def test_listens_on_loopback_only() -> None:
    """The front ends for gRPC and metrics listen on the given loopback ports; no other front end listens at all."""
    assert {
        "--grpc-address=127.0.0.1",
        "--grpc-port=9001",
        "--metrics-address=127.0.0.1",
        "--metrics-port=9002",
        "--allow-http=false",
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",
    } <= set(_flags())


def test_accepts_the_pings_of_our_channels() -> None:
    """A client that pings each 10 s, calls or no calls, is not taken for an abuser."""
    flags = _flags()
    assert "--grpc-http2-min-recv-ping-interval-without-data=5000" in flags
    assert "--grpc-keepalive-permit-without-calls=1" in flags


def test_guards_administrative_calls() -> None:
    """Model control, shared memory, trace and log settings open only to the header that the owner knows."""
    guarded = "model-repository,shared-memory,trace,logging"
    assert f"--grpc-restricted-protocol={guarded}:triptych-admin=open-sesame" in _flags()
    assert ENDPOINTS.admin_metadata == ("triton-grpc-protocol-triptych-admin", "open-sesame")


def test_admin_tokens_are_secret_and_differ() -> None:
    """Each Triton gets a token of its own, and its representation does not show it."""
    first, second = TritonEndpoints(1, 2), TritonEndpoints(1, 2)
    assert first.admin_token != second.admin_token
    assert first.admin_token not in repr(first)


def test_two_tritons_share_no_memory() -> None:
    """The names of shared-memory regions differ between two Tritons of one machine."""
    other = TritonEndpoints(grpc_port=9003, metrics_port=9004)
    assert "--backend-config=python,shm-region-prefix-name=triptych-9001-" in _flags()
    assert "--backend-config=python,shm-region-prefix-name=triptych-9003-" in _flags(endpoints=other)


def test_leaves_in_time() -> None:
    """Requests in flight get ten seconds after SIGTERM."""
    assert "--exit-timeout-secs=10" in _flags()


def test_inherits_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton and its models see three variables, whatever the caller's environment holds."""
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    _, env = triton_command(RUNTIME, Path("/models"), ENDPOINTS, ["cats"])
    expected = {"PATH": "/opt/triton/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": "/opt/python"}
    assert expected == env
