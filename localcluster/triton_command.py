"""Says how Triton is started on one machine: every flag, and the whole environment of the process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster.triton_runtime import TritonRuntime

LOOPBACK = "127.0.0.1"
LOCK = "NOBODY"
"""Header that would open administrative calls. Names of HTTP/2 headers have no capitals, and Triton hangs up on a call
that has one: a lock without a key. A secret would be none, since Triton takes it on its command line only, which every
user of the machine can read; and loading a model can carry code."""
POLL_INTERVAL_S = 1
"""Between two looks at the repository, of a Triton that follows it."""
EXIT_TIMEOUT_S = 10
"""Time for requests in flight after SIGTERM."""
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
"""The whole environment but for what the engine is told: Triton inherits nothing, so no secret reaches its models."""
MIN_PING_INTERVAL_MS = 5_000
"""Half of what clients do: they ping each 10 s, and gRPC's servers hang up on whoever pings more often than allowed."""
ENGINE_THREADS = "OPENVINO_THREADS"
"""Variable with the threads of one instance of a model; the backend on the CPU reads it."""
MODEL_CACHE = "OPENVINO_CACHE"
"""Variable with the folder where it keeps compiled models."""


@dataclass(frozen=True)
class TritonEndpoints:
    """Is where one Triton listens."""

    grpc_port: int
    metrics_port: int
    host: str = LOOPBACK


def triton_command(
    runtime: TritonRuntime,
    repository: Path,
    endpoints: TritonEndpoints,
    models: Sequence[str] | None,
    engine_threads: str = "",
    otlp_endpoint: str = "",
) -> tuple[list[str], dict[str, str]]:
    """Builds the command line and the environment of a Triton.

    It serves the named models; for None every model of the repository, whatever comes and goes in it while it runs.
    Without `engine_threads` the instances of a model share the cores; without `otlp_endpoint` nothing is traced.
    """
    flags = [*_model_flags(runtime, repository, models), *_listen_flags(endpoints), *_limit_flags()]
    flags += _trace_flags(otlp_endpoint) if otlp_endpoint else []
    engine = {ENGINE_THREADS: engine_threads} if engine_threads else {}
    engine[MODEL_CACHE] = str(runtime.home / "compiled-models")
    return [str(runtime.server), *flags], _ENVIRONMENT | engine


def _model_flags(runtime: TritonRuntime, repository: Path, models: Sequence[str] | None) -> list[str]:
    return [
        f"--model-repository={repository.resolve()}",
        f"--backend-directory={runtime.backends}",
        *_control_flags(models),
        "--disable-auto-complete-config",
        # A model that cannot load must not take the others down; readiness tells.
        "--exit-on-error=false",
        "--strict-readiness=true",
    ]


def _control_flags(models: Sequence[str] | None) -> list[str]:
    """Lets the repository alone decide what is loaded: there is no call that loads anything, so no secret to keep."""
    if models is None:
        return ["--model-control-mode=poll", f"--repository-poll-secs={POLL_INTERVAL_S}"]
    return ["--model-control-mode=explicit", *(f"--load-model={model}" for model in models)]


def _listen_flags(endpoints: TritonEndpoints) -> list[str]:
    return [
        "--allow-http=false",  # idle keep-alive connections would hold the exit for its whole timeout
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",
        f"--grpc-address={endpoints.host}",
        f"--grpc-port={endpoints.grpc_port}",
        f"--metrics-address={endpoints.host}",
        f"--metrics-port={endpoints.metrics_port}",
        "--metrics-interval-ms=2000",
        "--allow-gpu-metrics=false",
        "--grpc-keepalive-time=30000",
        "--grpc-keepalive-timeout=10000",
        # Without this one, a ping on an idle connection counts as abuse whatever the interval.
        "--grpc-keepalive-permit-without-calls=1",
        f"--grpc-http2-min-recv-ping-interval-without-data={MIN_PING_INTERVAL_MS}",
        f"--grpc-restricted-protocol=model-repository,shared-memory,trace,logging:{LOCK}=-",
        "--log-format=ISO8601",
    ]


def _limit_flags() -> list[str]:
    return [
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
        "--grpc-infer-allocation-pool-size=64",
        "--pinned-memory-pool-byte-size=0",
    ]


def _trace_flags(otlp_endpoint: str) -> list[str]:
    """Has Triton trace the requests that come with a trace, and no others."""
    return [
        "--trace-config=mode=opentelemetry",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=rate=0",  # of the others; 1000 by default, which is every thousandth
        f"--trace-config=opentelemetry,url={otlp_endpoint.rstrip('/')}/v1/traces",
        "--trace-config=opentelemetry,resource=service.name=triptych-triton",
        "--trace-config=opentelemetry,bsp_schedule_delay=1000",
    ]
