"""How Triton is started: the flags are the hardening, so each one is asserted."""

from pathlib import Path

import pytest

from localcluster.triton_command import TritonEndpoints, triton_command
from localcluster.triton_runtime import TritonRuntime

pytestmark = pytest.mark.unit

RUNTIME = TritonRuntime(home=Path("/opt/triton"), backends=Path("/opt/triton/backends"))
ENDPOINTS = TritonEndpoints(grpc_port=9001, metrics_port=9002)


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


def test_follows_the_repository_without_a_call() -> None:
    """Told no models, Triton looks at the repository by itself; calls load nothing, and stay closed."""
    argv, _ = triton_command(RUNTIME, Path("/models"), ENDPOINTS, None)
    assert {"--model-control-mode=poll", "--repository-poll-secs=1"} <= set(argv)
    assert not [flag for flag in argv if flag.startswith("--load-model")]
    assert [flag for flag in argv if flag.startswith("--grpc-restricted-protocol=model-repository,")]


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


def test_nobody_can_make_administrative_calls() -> None:
    """Model control, shared memory, trace and log settings want a header whose name HTTP/2 forbids.

    A secret would have to stand on the command line, where every user of the machine reads it.
    """
    (flag,) = (flag for flag in _flags() if flag.startswith("--grpc-restricted-protocol="))
    calls, _, lock = flag.removeprefix("--grpc-restricted-protocol=").partition(":")
    header = lock.partition("=")[0]
    assert {"model-repository", "shared-memory", "trace", "logging"} == set(calls.split(","))
    assert header != header.lower()


def test_leaves_in_time() -> None:
    """Requests in flight get ten seconds after SIGTERM."""
    assert "--exit-timeout-secs=10" in _flags()


def test_inherits_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton and its models see three variables, whatever the caller's environment holds."""
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    _, env = triton_command(RUNTIME, Path("/models"), ENDPOINTS, ["cats"])
    expected = {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "OPENVINO_CACHE": "/opt/triton/compiled-models",
    }
    assert expected == env


def test_the_engine_is_told_its_threads() -> None:
    """What was chosen for the engine reaches Triton, and so its backend, as one variable more."""
    _, env = triton_command(RUNTIME, Path("/models"), ENDPOINTS, ["cats"], "3")
    assert {"PATH", "LC_ALL", "OPENVINO_CACHE", "OPENVINO_THREADS"} == env.keys()
    assert "3" == env["OPENVINO_THREADS"]


def test_traces_only_what_comes_with_a_trace() -> None:
    """With a collector, Triton sends the spans of requests that carry a context, and of no others; else none at all."""
    argv, _ = triton_command(RUNTIME, Path("/models"), ENDPOINTS, ["cats"], otlp_endpoint="http://collector:4318/")

    assert [
        "--trace-config=mode=opentelemetry",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=rate=0",
        "--trace-config=opentelemetry,url=http://collector:4318/v1/traces",
        "--trace-config=opentelemetry,resource=service.name=triptych-triton",
        "--trace-config=opentelemetry,bsp_schedule_delay=1000",
    ] == [flag for flag in argv if "--trace" in flag]
    assert [] == [flag for flag in _flags() if "--trace" in flag]
