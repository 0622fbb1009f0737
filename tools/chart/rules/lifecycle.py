"""Rules on how pods start and end: kinds of probe, and the time that a drain takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from servicekit.settings import variable
from tools.chart.manifests import Finding, Manifest, Rendering, Workload, environment, in_container, process_of, walk
from tools.chart.processes import SETTINGS, TRITON, triton_flags

MARGIN_S = 5
"""What is left when everything took as long as it may, for the process to exit before it is killed."""
TURN_AWAY_S = 1
"""The least pause before SIGTERM: what a change of endpoints takes to reach a node that has nothing else to do."""
READINESS: Mapping[str, str] = {
    "gateway": "triptych.classification.v1.ClassificationService",
    "preprocess": "triptych.preprocess.v1.PreprocessService",
    "inference": "triptych.inference.v1.InferenceService",
    "postprocess": "triptych.postprocess.v1.PostprocessService",
    "experiments": "triptych.experiments.v1.ExperimentService",
}
"""The name whose health tells whether a process is ready; the empty name tells only that it lives."""


@dataclass(frozen=True)
class Budget:
    """Is the time, in seconds, that a container has to leave, and the parts it is spent on."""

    name: str
    pause: float
    drain: float
    grace: float


def probe_kinds(rendering: Rendering) -> Iterator[Finding]:
    """Readiness asks for the service by name, liveness for nothing that depends on a neighbour."""
    for workload, container in _serving(rendering):
        where = in_container(workload, container)
        for kind, wrong in (("livenessProbe", _liveness), ("readinessProbe", _readiness)):
            probe = walk(container, kind)
            if not probe:
                yield Finding(where, f"has no {kind}")
            elif message := wrong(process_of(container), probe):
                yield Finding(where, f"{kind} {message}")


def slow_start(rendering: Rendering) -> Iterator[Finding]:
    """Triton has a startupProbe that gives a model at least two minutes to load."""
    for workload, container in _serving(rendering):
        if process_of(container) in TRITON:
            probe = walk(container, "startupProbe")
            patience = probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3) if probe else 0
            if patience < 120:
                yield Finding(in_container(workload, container), f"is given {patience} s to load its models")


def probes_and_tls(rendering: Rendering) -> Iterator[Finding]:
    """No gRPC probe goes to a port that speaks TLS, because kubelets know no TLS for gRPC."""
    for workload, container in _serving(rendering):
        secured = answers_with_tls(container)
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            if secured and "grpc" in walk(container, kind):
                yield Finding(in_container(workload, container), f"{kind} uses gRPC although the port speaks TLS")


def answers_with_tls(container: Manifest) -> bool:
    """Returns whether callers need TLS; what the gateway calls the services with is not what it answers with."""
    edge = "EDGE_" if process_of(container) == "gateway" else ""
    given = f"TRIPTYCH_{edge}TLS_CERT_FILE" in environment(container)
    return given or any("--grpc-use-ssl" in argument for argument in container.get("args") or ())


def drain_fits(rendering: Rendering) -> Iterator[Finding]:
    """`terminationGracePeriodSeconds` is at least preStop + what the process takes to drain + 5 s."""
    for item in budgets(rendering):
        if item.grace < item.pause + item.drain + MARGIN_S:
            parts = f"{item.pause:g} s of preStop, {item.drain:g} s of draining and {MARGIN_S} s of margin"
            yield Finding(item.name, f"has {item.grace:g} s of grace for {parts}")


def budgets(rendering: Rendering) -> Iterator[Budget]:
    """Yields how long each serving container may take to leave."""
    for workload, container in _serving(rendering):
        grace = float(workload.pod.get("terminationGracePeriodSeconds", 30))
        yield Budget(in_container(workload, container), pre_stop_s(container), drain_s(container), grace)


def pause_before_end(rendering: Rendering) -> Iterator[Finding]:
    """Every serving container waits before SIGTERM until callers had time to turn away, without needing a shell."""
    for workload, container in _serving(rendering):
        if pre_stop_s(container) < TURN_AWAY_S:
            yield Finding(in_container(workload, container), f"waits {pre_stop_s(container):g} s before SIGTERM")
        if "exec" in walk(container, "lifecycle", "preStop"):
            yield Finding(in_container(workload, container), "its preStop runs a command: the images have no shell")


def pre_stop_s(container: Manifest) -> float:
    """Returns how long the container waits between the end of its readiness and SIGTERM."""
    return float(walk(container, "lifecycle", "preStop", "sleep").get("seconds", 0))


def drain_s(container: Manifest) -> float:
    """Returns how long the process may take after SIGTERM, from its variables, its flags, or their defaults."""
    process = process_of(container)
    if process in TRITON:
        return _exit_timeout_s(container)
    settings, given = SETTINGS[process].model_fields, environment(container)
    fields = ("drain_delay_s", "drain_timeout_s")
    return sum(float(given.get(variable(field), settings[field].default)) for field in fields)


def _exit_timeout_s(container: Manifest) -> float:
    given = [flag.partition("=")[2] for flag in triton_flags(container) if flag.startswith("--exit-timeout-secs=")]
    return float(given[-1]) if given else 30.0  # Triton's own default


def _liveness(process: str, probe: Manifest) -> str | None:
    if process in TRITON:
        return "uses gRPC: Triton's Check means readiness" if "grpc" in probe else None
    if "grpc" in probe:
        return "asks for a service" if walk(probe, "grpc").get("service") else None
    return None if walk(probe, "httpGet").get("path") == "/healthz" else "is neither gRPC nor GET /healthz"


def _readiness(process: str, probe: Manifest) -> str | None:
    if process in TRITON:
        return None if "grpc" in probe or "exec" in probe or "tcpSocket" in probe else "does not ask Triton"
    if "grpc" in probe:
        asked, wanted = walk(probe, "grpc").get("service"), READINESS[process]
        return None if asked == wanted else f"asks for {asked!r}, not for {wanted!r}"
    return None if walk(probe, "httpGet").get("path") == "/readyz" else "is neither gRPC nor GET /readyz"


def _serving(rendering: Rendering) -> Iterator[tuple[Workload, Manifest]]:
    for workload in rendering.serving:
        for container in workload.containers:
            if process_of(container) in SETTINGS or process_of(container) in TRITON:
                yield workload, container
