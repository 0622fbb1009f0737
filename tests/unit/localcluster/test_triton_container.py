"""How the image `triton-cpu` starts Triton: as the local cluster does, for other containers."""

from pathlib import Path

import pytest

from localcluster.triton_command import TritonEndpoints, triton_command
from localcluster.triton_container import REPOSITORY, command
from localcluster.triton_runtime import TritonRuntime

pytestmark = pytest.mark.unit

RUNTIME = TritonRuntime(home=Path("/opt/triton"), backends=Path("/opt/triton/backends"))


def test_the_flags_are_those_of_the_local_cluster() -> None:
    """Only addresses differ: everything else that Triton is told is what `triptych up` tells it."""
    local, _ = triton_command(RUNTIME, REPOSITORY, TritonEndpoints(grpc_port=8001, metrics_port=8002), ["*"])
    flags, _ = command(RUNTIME, [])
    expected = [flag.replace("127.0.0.1", "0.0.0.0") for flag in local]  # noqa: S104 (in a container)
    assert expected == flags


def test_models_can_be_named() -> None:
    """Whoever names models gets these and no other."""
    flags, _ = command(RUNTIME, ["--load-model=cats"])
    assert ["--load-model=cats"] == [flag for flag in flags if flag.startswith("--load-model")]


def test_what_is_given_reaches_triton_last() -> None:
    """Any other flag is handed on, and every model is loaded all the same."""
    flags, _ = command(RUNTIME, ["--trace-config=mode=opentelemetry"])
    assert "--trace-config=mode=opentelemetry" == flags[-1]
    assert "--load-model=*" in flags


def test_nothing_is_written_beside_the_program() -> None:
    """No cache of compiled models is asked for: the root of the container is read-only."""
    _, variables = command(RUNTIME, [])
    assert {"PATH", "LC_ALL"} == variables.keys()


def test_traces_go_where_those_of_the_services_go() -> None:
    """Told where the collector is, it traces with the flags of the local cluster."""
    endpoints = TritonEndpoints(grpc_port=8001, metrics_port=8002)
    local, _ = triton_command(RUNTIME, REPOSITORY, endpoints, ["*"], otlp_endpoint="http://collector:4318")
    flags, _ = command(RUNTIME, [], "http://collector:4318")
    expected = [flag for flag in local if flag.startswith("--trace-config")]
    assert expected == [flag for flag in flags if flag.startswith("--trace-config")] != []
